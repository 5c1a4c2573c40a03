"""Claims and the platform's file are read together, with every problem at once."""

from __future__ import annotations

from pathlib import Path

from buildkit_builders.claims import read_claims

from tests.unit.builders.claims.files import lines, read

GOOD = {"name": "main", "owner": "ada@example.com"}


def test_a_claim_has_the_platforms_defaults(tmp_path: Path) -> None:
    """Two lines are a claim: cluster, size, cache and the rest come from the platform's file."""
    found = read(tmp_path, payments=GOOD)
    assert found.problems == ()
    (claim,) = found.claims
    assert (claim.id, claim.stack, claim.cluster, claim.size) == ("payments/main", "payments-main", "main", "small")
    assert (str(claim.cache), claim.least, claim.most, claim.architectures) == ("16Gi", 1, 1, ("amd64",))


def test_every_problem_of_every_file_is_told_and_hides_no_good_claim(tmp_path: Path) -> None:
    """Four bad claims in two files are named with file, line, key, value and what is allowed; a good one is read."""
    found = read(
        tmp_path,
        payments="name: bad\nonwer: x\nowner: x\nsize: smal\n---\nname: main\nowner: ada\n",
        search="- name: main\n  owner: bob\n  cache: 30Gi\n- name: two\n  owner: bob\n  architectures: [amd46]\n"
        "- name: three\n  owner: bob\n  scaling: {max: 9}\n",
    )
    assert [claim.id for claim in found.claims] == ["payments/main"]
    assert lines(found, tmp_path) == [
        'claims/payments.yaml:2: payments/bad: onwer: there is no key "onwer" (did you mean "owner"?)',
        'claims/payments.yaml:4: payments/bad: size: there is no size "smal" (did you mean "small"?)',
        'claims/search.yaml:3: search/main: cache: "30Gi" is refused: size small allows at most 18Gi',
        'claims/search.yaml:6: search/two: architectures[0]: "amd46" is refused: give amd64 or arm64 or 386 or arm/v7 '
        'or arm/v6 or riscv64 or s390x or ppc64le or loong64 (did you mean "amd64"?)',
        "claims/search.yaml:9: search/three: scaling.max: 9 is refused: size small allows at most 2 pods on each "
        "architecture",
    ]


def test_every_problem_of_the_platforms_file_is_told_once_and_keeps_claims_back(tmp_path: Path) -> None:
    """With its line and what is allowed; claims that refer to what is wrong there have no further problem."""
    platform = """\
clusters:
  main: {contxt: prod}
sizes:
  small:
    requests: {cpu: 4}
    limits: {cpu: 2}
    volume: 20Gi
    cache: 30Gi
    driver-opts: {replica: 2}
limits: {team: {cpus: 4}, teams: {Payments: {cpu: 1}}}
images: {buildkit: "https://x/y"}
registries: {docker.io: {mirrorz: [a]}}
defaults: {size: smal, scaling: {max: none}}
namespaces: builders
policies: {img: off, requests: loud}
"""
    found = read(tmp_path, platform, payments=GOOD, search=GOOD)
    assert found.claims == ()
    told = [line.removeprefix("platform.yaml:").partition(" is refused")[0] for line in lines(found, tmp_path)]
    assert told == [
        '2: clusters.main.contxt: there is no key "contxt" (did you mean "context"?)',
        "2: clusters.main: it needs context, such as prod-eu",
        '5: sizes.small.requests.cpu: "4"',
        '8: sizes.small.cache: "30Gi"',
        '9: sizes.small.driver-opts: there is no option "replica" (did you mean "replicas"?)',
        '10: limits.team.cpus: there is no key "cpus" (did you mean "cpu"?)',
        '10: limits.teams.Payments: "Payments"',
        '11: images.buildkit: "https://x/y"',
        '12: registries.docker.io: "mirrorz"',
        '13: defaults.scaling.max: "none"',
        '13: defaults.size: there is no size "smal" (did you mean "small"?)',
        '14: namespaces: "builders"',
        '15: policies.requests: "loud"',
        '15: policies.img: there is no policy "img" (known: requests, image-digest, disruption-budget, cache-limit, '
        "no-open-tcp, privileged, required-labels)",
    ]


def test_files_that_cannot_be_read_are_told_and_others_are_ignored(tmp_path: Path) -> None:
    """No file, no text, no YAML, no name of a team, a folder: each is a problem; notes and hidden files are none."""
    folder = tmp_path / "claims"
    (folder / "sub").mkdir(parents=True)
    (folder / "README.md").write_text("# Claims")
    (folder / ".hidden.yaml").write_text("[")
    (folder / "binary.yaml").write_bytes(b"\xff\xfe")
    (folder / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (folder / "large.yaml").write_text("#" * 2**21)
    (folder / "empty.yaml").write_text("# nobody\n")
    found = read(tmp_path, payments=GOOD, broken="- name: [a\n", Team_A=GOOD, numbers="- 3\n-\n")
    assert [claim.id for claim in found.claims] == ["payments/main"]
    assert [line.split(": ")[0] for line in lines(found, tmp_path)] == [
        "claims/Team_A.yaml",
        "claims/binary.yaml",
        "claims/broken.yaml:2",
        "claims/gone.yaml",
        "claims/large.yaml",
        "claims/numbers.yaml:1",
        "claims/numbers.yaml:2",
        "claims/sub",
    ]


def test_a_missing_file_or_folder_is_a_problem(tmp_path: Path) -> None:
    """The first run of a platform team, in the wrong folder."""
    found = read_claims(tmp_path / "platform.yaml", tmp_path / "claims")
    assert lines(found, tmp_path) == [
        "platform.yaml: the file can't be read: No such file or directory",
        "claims: the folder of claims can't be read: No such file or directory",
    ]
