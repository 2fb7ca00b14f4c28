"""The sweep asks about everybody at once, for a bounded time each: one slow owner keeps nobody else in."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dashboards.house import ADMIN, MEMBER, STRANGER

from agent_analytics.scope import Principal
from agent_analytics.serving import tokens
from agent_analytics.serving.kernels import TOKEN, Kernels, Owner
from agent_analytics.settings import Settings

NOW = datetime(2026, 3, 30, 12, tzinfo=UTC)
SLOW, OTHER = Owner("slow", ADMIN, "a"), Owner("other", STRANGER, "b")
Still = Callable[[Owner, datetime], Awaitable[Owner | None]]


def swept(home: Path, still: Still, *owners: Owner) -> tuple[Kernels, dict[str, str], list[str]]:
    """Kernels of these owners after a sweep, as reserved and furnished but not started; their ids, and who ended."""
    ended: list[str] = []

    async def story() -> tuple[Kernels, dict[str, str]]:
        kernels = Kernels()
        kernels.furnish_for(Settings(home=home), ended.append)
        reserved = {owner.name: kernels.reserve(owner) for owner in owners}
        for kernel_id in reserved.values():
            kernels._given[kernel_id] = None
            kernels._furnish(kernel_id, None, NOW)
        await kernels.renew(still, NOW + timedelta(seconds=10))
        return kernels, reserved

    kernels, reserved = asyncio.run(story())
    return kernels, reserved, ended


def test_one_slow_answer_delays_no_other(tmp_path: Path) -> None:
    """The slow one is answered only once the other's kernel has ended."""
    other_is_asked = asyncio.Event()

    async def still(owner: Owner, now: datetime) -> Owner | None:
        if owner == OTHER:
            other_is_asked.set()
            return None
        await asyncio.wait_for(other_is_asked.wait(), 10)
        return owner

    kernels, reserved, ended = swept(tmp_path, still, SLOW, OTHER)
    assert ended == [reserved["other"]]
    assert kernels.owners == {reserved["slow"]: SLOW}


def test_an_answer_that_nobody_foresaw_ends_access_and_no_others(tmp_path: Path) -> None:
    async def still(owner: Owner, now: datetime) -> Owner | None:
        if owner == SLOW:
            raise RuntimeError("nonsense")
        return owner

    kernels, reserved, ended = swept(tmp_path, still, SLOW, OTHER)
    assert ended == [reserved["slow"]]
    assert set(kernels.owners) == {reserved["other"]}


def test_the_renewed_token_says_when_the_person_was_verified(tmp_path: Path) -> None:
    verified = NOW - timedelta(minutes=3)

    async def still(owner: Owner, now: datetime) -> Owner | None:
        return replace(owner, verified_at=verified)

    kernels, reserved, _ = swept(tmp_path, still, OTHER)
    token = (kernels._homes / reserved["other"] / TOKEN).read_text()
    vouched = tokens.verify(tmp_path, token, NOW + timedelta(seconds=34))
    assert (vouched.principal, vouched.verified_at) == (STRANGER, verified)


def test_an_owner_is_the_same_whenever_they_were_verified() -> None:
    assert replace(OTHER, verified_at=NOW, valid_until=NOW) == OTHER
    assert Owner("other", Principal(MEMBER.role, "globex", "eve")) != OTHER
