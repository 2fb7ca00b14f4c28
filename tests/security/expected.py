"""What each role gets, for every route and page and every kind of object. A route or page without a line fails.

`shows`: `all` the runs that the role sees, `it` the one that is named, `-` nothing that is anybody's.
member: ada, in team Search. lead: lena, leads Search. leads: liz, leads Search and Payments. admin: of acme.
globex: that organization's admin. platform: runs the platform.

`{own}` is the asker's run (the platform's admin has none: 404), `{mate}` bo's of Search, `{other}` cy's of Payments,
`{nobody}` nell's, without a team, `{foreign}` gus's of globex, `{missing}` nobody's.
"""

TABLE = """
request                                                     shows  none member lead leads admin globex platform
GET /health/live                                            -      200  200    200  200   200   200    200
GET /health/ready                                           -      200  200    200  200   200   200    200
GET /v1/freshness                                           -      401  200    200  200   200   200    200
GET /v1/openapi.json                                        -      401  200    200  200   200   200    200

GET /v1/runs/{own}                                          it     401  200    200  200   200   200    422
GET /v1/runs/{own}?organization=acme                        it     401  200    200  200   200   404    404
GET /v1/runs/{mate}                                         it     401  404    200  200   200   404    422
GET /v1/runs/{other}                                        it     401  404    404  200   200   404    422
GET /v1/runs/{nobody}                                       it     401  404    404  404   200   404    422
GET /v1/runs/{foreign}                                      it     401  404    404  404   404   200    422
GET /v1/runs/{missing}                                      -      401  404    404  404   404   404    422
GET /v1/runs/{mate}?organization=acme                       it     401  404    200  200   200   404    200
GET /v1/runs/{mate}?organization=globex                     -      401  404    404  404   404   404    404
GET /v1/runs/{foreign}?organization=globex                  it     401  404    404  404   404   200    200
GET /v1/runs/{foreign}?organization=nowhere                 -      401  404    404  404   404   404    404
GET /v1/runs/{own}?user=zq-bo-user                          -      401  422    422  422   422   422    422

GET /v1/runs                                                all    401  200    200  200   200   200    422
GET /v1/runs?organization=acme                              all    401  200    200  200   200   404    200
GET /v1/runs?organization=globex                            all    401  404    404  404   404   200    200
GET /v1/runs?organization=nowhere                           -      401  404    404  404   404   404    200
GET /v1/runs?where=<team of mate>                           -      401  200    200  200   200   422    422
GET /v1/runs?where=<team of other>                          -      401  422    422  200   200   422    422
GET /v1/runs?where=<team of foreign>                        -      401  422    422  422   422   200    422
GET /v1/runs?where=<user of mate>                           -      401  422    200  200   200   422    422
GET /v1/runs?where=<user of foreign>                        -      401  422    422  422   422   200    422
GET /v1/runs?where=<organization of foreign>                -      401  422    422  422   422   200    422
GET /v1/runs?cursor=<of admin>                              -      401  200    200  200   200   200    422
GET /v1/runs?cursor=<of globex>                             -      401  200    200  200   200   200    422
GET /v1/runs?cursor=<made up>                               -      401  422    422  422   422   422    422
GET /v1/runs?user=zq-bo-user                                -      401  422    422  422   422   422    422

POST /v1/query <by user>                                    all    401  200    200  200   200   200    200
POST /v1/query <by user> text/csv                           all    401  200    200  200   200   200    200
POST /v1/query <by user> application/vnd.apache.arrow.stream  all  401  200    200  200   200   200    200
POST /v1/query <by organization>                            -      401  200    200  200   200   200    200
POST /v1/query <total>                                      -      401  200    200  200   200   200    200
POST /v1/query <other>                                      -      401  200    200  200   200   200    200
POST /v1/query <people>                                     -      401  403    200  200   200   200    200
POST /v1/query <team of mate>                               -      401  200    200  200   200   422    200
POST /v1/query <team of other>                              -      401  422    422  200   200   422    200
POST /v1/query <team of foreign>                            -      401  422    422  422   422   200    200
POST /v1/query <user of mate>                               -      401  422    200  200   200   422    200
POST /v1/query <user of other>                              -      401  422    422  200   200   422    200
POST /v1/query <user of foreign>                            -      401  422    422  422   422   200    200
POST /v1/query <agent_type of other>                        -      401  422    422  200   200   422    200
POST /v1/query <model of foreign>                           -      401  422    422  422   422   200    200
POST /v1/query <organization of foreign>                    -      401  422    422  422   422   200    200
POST /v1/query <anonymous total>                            -      401  200    200  200   200   200    403
POST /v1/query <anonymous by user>                          -      401  403    403  403   403   403    403
POST /v1/query <anonymous user of mate>                     -      401  403    403  403   403   403    403

GET /v1/rank?team=zq-Search-team                            -      401  200    200  200   403   403    403
GET /v1/rank?team=zq-Payments-team                          -      401  403    403  200   403   403    403
GET /v1/rank?team=nowhere                                   -      401  403    403  403   403   403    403
GET /v1/rank                                                -      401  422    422  422   422   422    422

GET /v1/export/runs.csv                                     all    401  200    200  200   200   200    200
GET /v1/export/runs.csv?where=<team of other>               -      401  422    422  200   200   422    200
GET /v1/export/runs.csv?where=<user of foreign>             -      401  422    422  422   422   200    200
GET /v1/export/runs.csv?where=<organization of foreign>     -      401  422    422  422   422   200    200
GET /v1/export/runs.csv?organization=globex                 -      401  422    422  422   422   422    422
GET /v1/export/runs.parquet                                 all    401  200    200  200   200   200    200
GET /v1/export/runs.parquet?where=<team of other>           -      401  422    422  200   200   422    200
GET /v1/export/runs.manifest.json                           -      401  200    200  200   200   200    200
GET /v1/export/runs.manifest.json?where=<user of mate>      -      401  422    200  200   200   422    200
GET /v1/export/page.zip?view=<by user>                      all    401  200    200  200   200   200    200
GET /v1/export/page.zip?view=<team of other>                -      401  422    422  200   200   422    200
POST /v1/export/page.zip <by user>                          all    401  200    200  200   200   200    200
POST /v1/export/page.zip <user of foreign>                  -      401  422    422  422   422   200    200

GET /v1/audit                                               -      401  403    403  403   200   200    200
GET /v1/audit?organization=acme                             -      401  403    403  403   200   200    200
GET /v1/audit?organization=globex                           -      401  403    403  403   200   200    200
GET /v1/audit?actor=zq-gwen-user                            -      401  403    403  403   200   200    200
GET /v1/audit?cursor=<of the audit of globex>               -      401  403    403  403   200   200    200
GET /v1/audit?cursor=<made up>                              -      401  403    403  403   422   422    422
GET /v1/audit.csv                                           -      401  403    403  403   200   200    200
GET /v1/audit.csv?organization=globex                       -      401  403    403  403   200   200    200

PAGE organization                                           -      no   no     no   no    yes   yes    no
"""
