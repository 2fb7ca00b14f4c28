// The judge: a certified OpenID provider, with people who are told and changed over its own small door `/people`.
import { createServer } from "node:http";
import Provider from "oidc-provider";

const { issuer, port, client, key, people } = JSON.parse(process.argv[2]);

const RESOURCES = {
  "urn:api:opaque": { accessTokenFormat: "opaque", accessTokenTTL: 300 },
  "urn:api:short": { accessTokenFormat: "jwt", accessTokenTTL: 60 },
  "urn:api:long": { accessTokenFormat: "jwt", accessTokenTTL: 300 },
};
const rights = (id) => {
  const { organization, role, teams } = people[id] ?? {};
  return { organization, role, teams };
};

const provider = new Provider(issuer, {
  clients: [client],
  jwks: { keys: [key] },
  cookies: { keys: ["only for tests"] },
  pkce: { required: () => true },
  claims: {
    openid: ["sub", "organization", "role", "teams"],
    profile: ["name"],
    email: ["email", "email_verified"],
  },
  conformIdTokenClaims: false,
  findAccount: (_, id) => people[id] && { accountId: id, claims: () => ({ sub: id, ...people[id] }) },
  issueRefreshToken: (_, { redirectUris }) => redirectUris.length > 0,
  rotateRefreshToken: true,
  extraTokenClaims: (_, { accountId }) => rights(accountId),
  ttl: { AccessToken: (_, { resourceServer }) => resourceServer?.accessTokenTTL ?? 300 },
  features: {
    introspection: { enabled: true },
    revocation: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_, name) => ({
        scope: "openid",
        audience: "agent-analytics-api",
        jwt: { sign: { alg: "RS256" } },
        ...RESOURCES[name],
      }),
      useGrantedResource: () => true,
    },
  },
  // Our client is the company's own: whoever signs in has agreed.
  async loadExistingGrant({ oidc }) {
    const grant = new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope("openid profile email offline_access");
    for (const name of Object.keys(RESOURCES)) grant.addResourceScope(name, "openid");
    await grant.save();
    return grant;
  },
});

const serve = provider.callback();
createServer((request, response) => {
  if (request.url !== "/people") return serve(request, response);
  let body = "";
  request.on("data", (piece) => (body += piece));
  request.on("end", () => {
    for (const [id, person] of Object.entries(JSON.parse(body))) {
      if (person) people[id] = person;
      else delete people[id];
    }
    response.end();
  });
}).listen(port, "127.0.0.1");
