"""Reads the platform's file and the teams' claims: good claims and every problem of every file at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

from buildclient.base.files import read_bounded
from buildkit_builders.claims.checking import check_builder_of, check_claim
from buildkit_builders.claims.claim import Claim
from buildkit_builders.claims.platform import Platform
from buildkit_builders.claims.platform_file import PLATFORM
from buildkit_builders.claims.platform_rules import check_platform
from buildkit_builders.claims.policies import check_policies
from buildkit_builders.claims.problem import ERROR, WARNING, Problem
from buildkit_builders.claims.resolving import namespace_of
from buildkit_builders.claims.totals import check_totals
from buildkit_builders.claims.yamltext import Located, read_documents
from buildkit_builders.options.problems import InvalidValue, Problems, show
from buildkit_builders.options.values import dns_label
from buildkit_builders.spec import BuilderSpec

__all__ = ["Claims", "read_claims", "read_platform"]

_LONGEST = 1024 * 1024
_SUFFIXES = (".yaml", ".yml")
_EMPTY = Located({}, 1, {})


class Claims(NamedTuple):
    """What was read."""

    platform: Platform
    """With defaults in place of what is wrong in its file."""
    claims: tuple[Claim, ...]
    """Those that may be applied, by file and line; none while the platform's file is wrong."""
    problems: tuple[Problem, ...]
    """By file and line: the platform's first."""
    named: tuple[str, ...] = ()
    """Every claim that the files name as `team/name`, also one that was refused: its builder may be there."""

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that keep a claim from being applied."""
        return tuple(one for one in self.problems if one.severity == ERROR)


def read_claims(platform_file: Path, claims_folder: Path, *, today: date | None = None) -> Claims:
    """Read `platform.yaml` and every `<team>.yaml` of a folder. Raises nothing: what is wrong is a problem.

    A claim with a problem is left out, and no other is. `today` decides what has expired.
    """
    day = today or date.today()
    platform, wrong = read_platform(platform_file)
    found: list[Claim] = []
    problems, named = list(wrong), list[str]()
    for file in _files(claims_folder, problems):
        found += _read_file(file, platform, day, problems, named)
    found = _without_clashes(found, platform, problems)
    if any(one.severity == ERROR for one in wrong):
        found = []
    specs: dict[str, BuilderSpec] = {}
    found = _without(found, list(_options(found, platform, day, specs)), problems)
    by_policy, refused = check_policies(found, platform, specs)
    problems += by_policy
    found = [claim for claim in found if claim.id not in refused]
    found = _without(found, list(check_totals(found, platform, day, specs)), problems)
    problems += _expiring(found, platform, day)
    own = [one for one in problems if one.file == str(platform_file)]
    others = [one for one in problems if one.file != str(platform_file)]
    ordered = [*sorted(own, key=_order), *sorted(others, key=_order)]
    return Claims(platform, tuple(found), tuple(dict.fromkeys(ordered)), tuple(dict.fromkeys(named)))


def read_platform(file: Path) -> tuple[Platform, tuple[Problem, ...]]:
    """The platform's rules, and what is wrong with them; what is wrong is left out of them."""
    problems: list[Problem] = []
    documents = _documents(file, problems)
    if len(documents) > 1:
        problems.append(Problem(str(file), documents[1].line, "give one document, a mapping"))
    if not documents:
        if not problems:
            problems.append(Problem(str(file), 0, f"it is empty: give {_needed()}"))
        return Platform(file=str(file)), tuple(problems)
    located = documents[0]
    noted = Problems(whole="the file")
    if isinstance(located.value, dict):
        platform = Platform(**PLATFORM.values(located.value, noted), file=str(file), lines=located.lines)
    else:
        PLATFORM.read(located.value, noted)
        platform = Platform(file=str(file))
    check_platform(platform, noted)
    problems += _placed(noted, located, str(file))
    return platform, tuple(problems)


def _needed() -> str:
    return ", ".join(key.name for key in PLATFORM.keys if key.required)


def _order(problem: Problem) -> tuple[str, int]:
    return problem.file, problem.line


def _files(folder: Path, problems: list[Problem]) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        problems.append(Problem(str(folder), 0, f"the folder of claims can't be read: {error.strerror}"))
        return []
    for entry in entries:
        if entry.is_dir() and not entry.name.startswith("."):
            text = "a folder here is not read: claims are in files claims/<team>.yaml"
            problems.append(Problem(str(entry), 0, text, WARNING))
    return [one for one in entries if one.suffix in _SUFFIXES and one.name[0] != "." and not one.is_dir()]


def _documents(file: Path, problems: list[Problem]) -> list[Located]:
    try:
        text = read_bounded(str(file), _LONGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8"
        problems.append(Problem(str(file), 0, f"the file can't be read: {reason}"))
        return []
    documents, malformed = read_documents(text)
    problems += [Problem(str(file), one.line, one.text) for one in malformed]
    for document in documents:
        problems += [Problem(str(file), one.line, one.text) for one in document.malformed]
    return documents


def _read_file(
    file: Path, platform: Platform, today: date, problems: list[Problem], named: list[str]
) -> Iterator[Claim]:
    """The good claims of a file, which is a team's; the ids of all that have a name are added to `named`."""
    team = file.stem
    try:
        dns_label(team)
    except InvalidValue as error:
        text = f"the file is named after the team, {show(team)}: {error.allowed}"
        problems.append(Problem(str(file), 0, text + (f" ({error.hint})" if error.hint else "")))
        return
    for located in _documents(file, problems):
        noted = Problems(whole="a claim")
        claim = check_claim(located, team, str(file), platform, today, noted)
        name = _id(team, located)
        named += [name] if name != team else []
        problems += _placed(noted, located, str(file), name)
        if claim is not None and not located.malformed:
            yield claim


def _id(team: str, located: Located) -> str:
    name = located.value.get("name") if isinstance(located.value, dict) else None
    return f"{team}/{name}" if isinstance(name, str) else team


def _placed(noted: Problems, located: Located, file: str, claim: str = "") -> list[Problem]:
    return [Problem(file, located.line_of(one.option), str(one), ERROR, claim) for one in dict.fromkeys(noted.found)]


def _without_clashes(claims: Sequence[Claim], platform: Platform, problems: list[Problem]) -> list[Claim]:
    """The claims without those whose stack or namespace another one has."""
    stacks: dict[str, Claim] = {}
    teams: dict[tuple[str, str], Claim] = {}
    found: list[Claim] = []
    for claim in claims:
        first = stacks.setdefault(claim.stack, claim)
        if first is not claim:
            text = f"{show(claim.name)} is refused: stack {claim.stack} is that of {first.file}:{first.line} already"
            problems.append(_problem(claim, "name", text))
            continue
        namespace = namespace_of(platform, claim.cluster, claim.team, claim.name)
        first = teams.setdefault((claim.cluster, namespace), claim)
        if first.team != claim.team:
            text = f"its namespace {namespace} is that of {first.id} already ({first.file}:{first.line})"
            problems.append(_problem(claim, "name", text))
            continue
        found.append(claim)
    return found


def _without(claims: Sequence[Claim], broken: Sequence[Problem], problems: list[Problem]) -> list[Claim]:
    """The claims without those that have errors; these are added to `problems`."""
    problems += broken
    out = {one.claim for one in broken if one.severity == ERROR}
    return [claim for claim in claims if claim.id not in out]


def _options(
    claims: Iterable[Claim], platform: Platform, today: date, specs: dict[str, BuilderSpec]
) -> Iterator[Problem]:
    """What is wrong with the claims' options; the builders that they come to are put into `specs`."""
    for claim in claims:
        noted = Problems(whole="a claim")
        specs[claim.id] = check_builder_of(claim, platform, today, noted)
        yield from _placed(noted, Located(None, claim.line, claim.lines), claim.file, claim.id)


def _expiring(claims: Iterable[Claim], platform: Platform, today: date) -> Iterator[Problem]:
    for claim in claims:
        if claim.expires is None:
            continue
        if claim.expired(today):
            text = f"it ended on {claim.expires}: its builder has no pods; give a later day, or take the claim out"
            yield _problem(claim, "expires", text, WARNING)
        elif claim.expires_within(platform.expiry.warn_days, today):
            days = (claim.expires - today).days
            when = "today" if not days else f"in {days} day{'s' if days > 1 else ''}, on {claim.expires}"
            yield _problem(claim, "expires", f"it ends {when}: then its builder has no pods", WARNING)


def _problem(claim: Claim, key: str, text: str, severity: str = ERROR) -> Problem:
    line = Located(None, claim.line, claim.lines).line_of(key)
    return Problem(claim.file, line, f"{key}: {text}", severity, claim.id)
