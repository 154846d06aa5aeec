"""Get the corpora: what is on this machine, what can be downloaded, and how to get the rest.

An archive is downloaded only where its publisher lets anybody have it and its checksum is known
(`ARCHIVES`), or where it is a git repository of which a commit is pinned (`REPOSITORIES`: git names
commits by the content of all files, and checks it); for every other corpus `steps_for` lists what
to do by hand. The corpus's folder appears at the end, whole, by one renaming, so whatever goes
wrong, the state before is untouched::

    SER_DATA/ravdess/                               made last; never written over
    SER_DATA/.ravdess.lock                          while a process downloads
    SER_DATA/.ravdess.download/….zip.part           grows; the next call resumes it
    SER_DATA/.ravdess.download/….zip                has the pinned checksum
    SER_DATA/.nemo.download/repository/             grows by some files at once, likewise
    SER_DATA/.ravdess.download/unpacked/            until it loads without a complaint

The tests have no internet: they download from a server on the same machine.
"""

from __future__ import annotations

import errno
import logging
import lzma
import math
import os
import re
import shutil
import stat
import subprocess
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pooch

from ser_lib import __version__
from ser_lib.audio.io import is_recording
from ser_lib.data.corpus import Corpus, left_alone, walk_files
from ser_lib.data.demo import CLIPS_DIR
from ser_lib.errors import CorpusError, DownloadError, OutputError, numbered, offenders
from ser_lib.paths import is_address, locked
from ser_lib.runtime import is_headless, progress

logger = logging.getLogger(__name__)

# One block is one step of the bar, which then counts megabytes.
BLOCK_BYTES = 1_000_000
TIMEOUT_S = 60.0

# How often one call resumes a broken connection, as long as each request brings something.
MAX_TRIES = 5

# The largest pinned archive has 1,440 clips; a zip bomb has millions of members.
MAX_MEMBERS = 20_000
MAX_UNPACKED_BYTES = 20 * 10**9

# Zip takes speech to a half or a third; a bomb unpacks to a thousand times its size.
MAX_RATIO = 20
UNPACKED_RATIO = 3

# What zipfile raises for damaged, cut, encrypted or unknown archives.
UNPACK_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
    *(EOFError, NotImplementedError, RuntimeError),
)


@dataclass(frozen=True)
class Archive:
    """One zip file that a corpus is published as."""

    url: str
    checksum: str
    """ "md5:…" or "sha256:…", as pooch reads it."""
    n_bytes: int
    file_name: str
    source: str
    """Who published it, and under which licence."""


# The checksums are those of the Zenodo records. RAVDESS's is found, with the size, in several
# public projects that verified it after a download. EmoDB's is found in one (jiuluo-if/EmoLight),
# which had size and MD5 from Zenodo and then checked the file and its 535 clips. Where none is
# published, nothing is pinned: Borealis packs TESS for each reader, CREMA-D is a repository, SAVEE
# and IEMOCAP want to know who asks.
ARCHIVES: dict[str, tuple[Archive, ...]] = {
    "ravdess": (
        Archive(
            url="https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip?download=1",
            checksum="md5:bc696df654c87fed845eb13823edef8a",
            n_bytes=208_468_073,
            file_name="Audio_Speech_Actors_01-24.zip",
            source="Zenodo, doi:10.5281/zenodo.1188976, version 1.0.0, CC BY-NC-SA 4.0",
        ),
    ),
    "emodb": (
        Archive(
            url="https://zenodo.org/records/7447302/files/emodb.zip?download=1",
            checksum="md5:9d21362dbc5676ef3ab4745d83ced0db",
            n_bytes=39_981_818,
            file_name="emodb.zip",
            source="Zenodo, doi:10.5281/zenodo.7447302, version 1.3.0, CC BY 4.0",
        ),
    ),
}


@dataclass(frozen=True)
class Repository:
    """One commit of a git repository that a corpus is published as."""

    url: str
    commit: str
    n_bytes: int
    source: str
    """Who published it, and under which licence."""
    folder: str = ""
    """Where in it the clips are; empty: everywhere."""


# The newest commits at the time of writing; all of their clips were loaded and found complete.
REPOSITORIES: dict[str, Repository] = {
    "nemo": Repository(
        url="https://github.com/amu-cai/nEMO",
        commit="66de9999a8f2f605eb5f64841790aa5cb0877782",
        n_bytes=531_777_000,
        source="github.com/amu-cai/nEMO, CC BY-NC-SA 4.0",
    ),
    "ased": Repository(
        url="https://github.com/Ethio2021/ASED_V1",
        commit="30fee0345cbd37e12dd725fbe69f90522cffb046",
        n_bytes=242_698_000,
        source="github.com/Ethio2021/ASED_V1, no licence stated",
    ),
    "emospeech_in": Repository(
        url="https://github.com/RakshakTeam/emospeech-dataset-v1",
        commit="85b1ef55e1246a10657590809bc118d6abf136d7",
        n_bytes=227_448_000,
        source="github.com/RakshakTeam/emospeech-dataset-v1, CC BY-NC-SA 4.0",
        folder="webservice",
    ),
    "turev": Repository(
        url="https://github.com/Xeonen/TurEV-DB",
        commit="be9873eccbc40538acbeb5e67c718bda96763cf3",
        n_bytes=147_210_000,
        source="github.com/Xeonen/TurEV-DB, CC BY-NC-ND 4.0 or GPLv3",
        folder="Sound Source",
    ),
}

# So many are fetched at once; what was fetched before a connection broke is kept.
FILES_AT_ONCE = 500

# What to do by hand; `{root}` becomes the corpus's folder.
STEPS: dict[str, tuple[str, ...]] = {
    "tess": (
        "Open https://doi.org/10.5683/SP2/E8H2MF (Borealis, the Canadian Dataverse repository).",
        "Choose 'Access Dataset', then the ZIP of all files in their original format; accept the "
        "terms (CC BY-NC-ND 4.0). A large ZIP may come without some files: get those one by one.",
        "Unpack it to {root}, so that {root}/OAF_back_angry.wav or "
        "{root}/OAF_angry/OAF_back_angry.wav is there.",
    ),
    "savee": (
        "Register at http://kahlan.eps.surrey.ac.uk/savee/Download.html (free, for research); name "
        "and password come by mail.",
        "Download AudioData.zip, the audio part.",
        "Unpack it to {root}, so that {root}/AudioData/DC/a01.wav is there.",
    ),
    "emodb2": (
        "Open https://doi.org/10.5281/zenodo.17651657 and download emodb_2.0.zip; compare its MD5 "
        "with the one on that page (none is pinned here: it was not seen).",
        "Unpack it to {root}, so that {root}/wav/03a01Fa.wav and {root}/db.emotion.csv are there; "
        "a folder emodb_2.0 in between does no harm.",
    ),
    "crema_d": (
        "Install git-lfs (https://git-lfs.com): without it the clips are text files of 130 bytes.",
        "Run: GIT_LFS_SKIP_SMUDGE=1 git clone "
        "https://github.com/CheyneyComputerScience/CREMA-D '{root}'",
        "Run: git -C '{root}' lfs pull --include 'AudioWAV/*'   (600 MB)",
        "Then {root}/AudioWAV/1001_DFA_ANG_XX.wav is there and plays. The authors ask users to "
        "fill in the form that their README links.",
    ),
    "iemocap": (
        "Ask for access at https://sail.usc.edu/iemocap/iemocap_release.htm (a release form, for "
        "research); the address of the archive comes by mail.",
        "Download IEMOCAP_full_release.tar.gz (large: it holds the videos as well).",
        "Unpack it to {root}, so that {root}/Session1/sentences/wav/Ses01F_impro01/"
        "Ses01F_impro01_F000.wav and {root}/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt are "
        "there. A folder IEMOCAP_full_release in between does no harm; videos may be left out.",
    ),
}


@dataclass(frozen=True)
class CorpusState:
    """How much of a corpus is on this machine."""

    corpus: Corpus
    root: Path
    state: str
    """ "complete", "incomplete" (clips are missing), "damaged" (clips are bad), or "absent"."""
    n_clips: int = 0
    """Sound clips."""
    n_speakers: int = 0
    problems: tuple[str, ...] = ()
    left_alone: tuple[str, ...] = ()

    def sentence(self) -> str:
        """Describe it in a line, with the problems below."""
        name, published = self.corpus.name, published_as(self.corpus.name)
        if self.state == "absent":
            what = "audio file under" if self.root.is_dir() else "folder"
            how = f"`ser data {name}` says how to get it from {self.corpus.download}"
            if published:
                size = _megabytes(sum(one.n_bytes for one in published))
                how = f"`ser data {name}` downloads it ({size}, {published[0].source})"
            return f"absent, no {what} {self.root}; {how}"
        if self.state == "complete":
            counts = f"{self.n_clips:,} clips of {self.n_speakers} speakers"
        else:
            counts = (
                f"{self.n_clips:,} of {self.corpus.n_clips:,} clips of "
                f"{self.n_speakers} of {self.corpus.n_speakers} speakers"
            )
        notes = offenders(self.problems) + offenders(self.left_alone)
        return f"{self.state}, {counts}, in {self.root}{notes}"

    def remedy(self) -> str:
        """Say what a person can do about a corpus that is not complete."""
        if self.state == "absent":
            return f"What to do:\n{steps_for(self.corpus)}"
        return (
            f"What is there is never written over. Repair it, or move {self.root} away and run "
            f"`ser data {self.corpus.name}` again. Bad and missing clips can also be left out "
            "(STRICT=0 for make, --no-strict for ser): the report then says so."
        )


def inspect_corpus(corpus: Corpus) -> CorpusState:
    """Find out how much of a corpus is here; never raises for bad files, which are `problems`.

    The first call decodes every clip; later ones read the cached facts.
    """
    root = CLIPS_DIR if corpus.is_embedded else corpus.root()
    try:
        clips = corpus.load(root, strict=False)
    except CorpusError as error:
        has_audio = any(is_recording(path.name) for path in walk_files(root))
        problem = str(error).removeprefix(f"{corpus.name}: ")
        state = "damaged" if has_audio else "absent"
        return CorpusState(corpus, root, state, problems=(problem,))
    problems = clips.attrs["left_out"]
    # Missing clips are one problem; any other is about a file that is there.
    is_short = len(clips) < corpus.n_clips
    state = "damaged" if len(problems) > int(is_short) else "incomplete" if is_short else "complete"
    n_speakers = clips["speaker"].nunique()
    left = tuple(left_alone(clips))
    return CorpusState(corpus, root, state, len(clips), n_speakers, tuple(problems), left)


def published_as(name: str) -> tuple[Archive | Repository, ...]:
    """Return what a corpus can be downloaded from; nothing where it cannot."""
    repository = REPOSITORIES.get(name)
    return (repository,) if repository else ARCHIVES.get(name, ())


def steps_for(corpus: Corpus) -> str:
    """Return what a person has to do to get a corpus, one numbered line a step."""
    name, root = corpus.name, str(corpus.root())
    general = (
        f"Get {corpus.title} from {corpus.download}.",
        f"Unpack it to {root}; its files are named like {corpus.example}.",
    )
    steps = [step.replace("{root}", root) for step in STEPS.get(name, general)]
    return numbered([*steps, f"Run `ser data {name}` again: it checks every clip."])


def _megabytes(n_bytes: int) -> str:
    """Format a size: 208 MB."""
    return f"{n_bytes / 1e6:,.0f} MB"


def download_corpus(corpus: Corpus) -> Path:
    """Download what a corpus is `published_as`, and put it in place when it loads strictly.

    Raises DownloadError if anything is in the way or goes wrong. The folder is then as it was;
    what was downloaded is kept where the next call can resume it.
    """
    if not published_as(corpus.name):
        raise DownloadError(
            f"{corpus.name}: no archive with a known checksum is published. Do this:\n"
            f"{steps_for(corpus)}"
        )
    root = corpus.root()
    if is_address(root):
        raise DownloadError(
            f"{root}: archives are unpacked into folders: point SER_DATA to one, copy it there"
        )
    try:
        with locked(root, waits=False):
            _check_place(corpus.name, root)
            _fetch_and_place(corpus, root, root.with_name(f".{root.name}.download"))
    except OutputError as error:
        raise DownloadError(f"{error}. `ser data {corpus.name}` goes on with it.") from error
    except OSError as error:
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "make room" if is_full else "correct that"
        raise DownloadError(
            f"{corpus.name}: {error}. Nothing was put in place; {remedy}, or point SER_DATA "
            f"to another folder, and run `ser data {corpus.name}` again."
        ) from error
    return root


def _check_place(name: str, root: Path) -> None:
    """Refuse a folder that holds anything: it is never written over."""
    if os.path.lexists(root) and (root.is_symlink() or not root.is_dir() or any(root.iterdir())):
        raise DownloadError(
            f"{name}: {root} is there and not empty, and it is never written over. Nothing was "
            f"changed. Move it away and run `ser data {name}` again, or repair it by hand."
        )


def _fetch_and_place(corpus: Corpus, root: Path, work: Path) -> None:
    """Download and unpack into the folder `work`, and rename that to `root` where it loads."""
    unpacked = work / "unpacked"
    # What a killed call left half unpacked.
    shutil.rmtree(unpacked, ignore_errors=True)
    _check_space(corpus.name, work)
    try:
        for one in published_as(corpus.name):
            if isinstance(one, Repository):
                _check_out(corpus.name, one, work / "repository", unpacked)
            else:
                _unpack(_fetch(corpus.name, one, work), unpacked)
        corpus.load(unpacked)
        if root.is_dir():  # empty; not every system renames onto a folder
            root.rmdir()
        unpacked.rename(root)
    except DownloadError:
        raise
    except CorpusError as error:
        raise DownloadError(
            f"{corpus.name}: the archive is the published one, but its clips are not complete and "
            f"sound, so nothing was put in place. Please report it with this:\n{error}"
        ) from error
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)


def _check_space(name: str, work: Path) -> None:
    there = sum(path.stat().st_size for path in work.rglob("*")) if work.is_dir() else 0
    n_bytes = (1 + UNPACKED_RATIO) * sum(one.n_bytes for one in published_as(name)) - there
    free = shutil.disk_usage(work.parent).free
    if free < n_bytes:
        raise DownloadError(
            f"{name}: about {_megabytes(n_bytes)} are needed under {work.parent}, to download and "
            f"to unpack; {_megabytes(free)} are free. Make room, or point SER_DATA to another disk."
        )


def _check_out(name: str, repository: Repository, store: Path, folder: Path) -> None:
    """Fetch the files of a pinned commit, some at once, and write them to a folder."""
    store.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)

    def git(*arguments: str, given: str = "") -> str:
        command = ["git", "--git-dir", str(store), "--work-tree", str(folder), *arguments]
        environment = os.environ | {"GIT_TERMINAL_PROMPT": "0"}
        try:
            done = subprocess.run(
                command, input=given, env=environment, capture_output=True, text=True, check=False
            )
        except FileNotFoundError as error:
            raise DownloadError(f"{name}: git is needed for it; install git") from error
        if done.returncode:
            raise DownloadError(
                f"{name}: {repository.url} cannot be read: {done.stderr.strip()}. What was fetched "
                f"is kept. Run `ser data {name}` again: it resumes from there."
            )
        return done.stdout

    logger.info("%s: %s at %s", name, repository.url, repository.commit)
    git("init", "--quiet")
    git("config", "remote.origin.url", repository.url)
    # First the names of all files, then the files that are not there yet.
    some = ("fetch", "--quiet", "--depth=1", "--no-tags", "--filter=blob:none", "origin")
    git(*some, repository.commit)
    tree = f"{repository.commit}:{repository.folder}"
    listed = git("rev-list", "--objects", "--missing=print", tree).splitlines()
    missing = [one[1:] for one in listed if one.startswith("?")]
    starts = range(0, len(missing), FILES_AT_ONCE)
    for start in progress(starts, total=len(starts), what=f"{name} ({FILES_AT_ONCE} files)"):
        git(*some, "--stdin", given="\n".join(missing[start : start + FILES_AT_ONCE]))
    git("checkout", "--quiet", repository.commit, "--", repository.folder or ".")


def _fetch(name: str, archive: Archive, work: Path) -> Path:
    """Return the file of an archive, downloaded unless it is there, with its checksum verified."""

    def resume(url: str, output_file: str, _pooch: object) -> None:
        part = work / f"{archive.file_name}.part"
        _download(name, archive, part)
        os.replace(part, output_file)

    # Its lines about temporary files mean nothing to a user.
    pooch.get_logger().setLevel("WARNING")
    logger.info("%s: %s from %s", name, archive.file_name, archive.url)
    try:
        path = pooch.retrieve(
            archive.url,
            known_hash=archive.checksum,
            fname=archive.file_name,
            path=work,
            downloader=resume,
        )
    except ValueError as error:
        raise DownloadError(
            f"{name}: what came from {archive.url} is not the pinned file, and was deleted "
            f"({error}). Run `ser data {name}` again; if that happens twice, the file was changed "
            "by its publisher or on the way: report it."
        ) from error
    return Path(path)


def _download(name: str, archive: Archive, part: Path) -> None:
    """Make a partial download whole, in several requests where connections break."""
    cause = None
    for _ in range(MAX_TRIES):
        before = _size(part)
        if before >= archive.n_bytes:
            return
        try:
            _request_rest(name, archive, part)
        except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
            cause = error
            break
        if _size(part) <= before:
            break
    if _size(part) < archive.n_bytes:
        raise DownloadError(
            f"{name}: {archive.url} cannot be read: {cause or 'the connection broke'}. "
            f"{_size(part):,} of {archive.n_bytes:,} bytes are kept. Run `ser data {name}` again: "
            f"it resumes from there. Or get {archive.url} by other means and save it as "
            f"{part.with_suffix('')}."
        ) from cause


def _request_rest(name: str, archive: Archive, part: Path) -> None:
    """Send one request and append what comes; a broken connection just ends it."""
    with _send_request(archive.url, _size(part)) as response:
        # 206: only what is missing. 200: all of it, from a server that knows no ranges.
        start = _size(part) if response.status == 206 else 0
        offered = start + int(response.headers.get("Content-Length", archive.n_bytes - start))
        if offered != archive.n_bytes:
            raise DownloadError(
                f"{name}: {archive.url} offers {offered:,} bytes, {archive.n_bytes:,} are pinned: "
                "the file was changed, or something answers in its place. Nothing was downloaded; "
                f"look at {archive.url} in a browser, and report it if the file is new."
            )
        with part.open("ab" if start else "wb") as file:
            file.writelines(_blocks(name, archive, start, response))


def _send_request(url: str, start: int) -> HTTPResponse:
    """Request a file from a byte on, or all of it from a server that cannot do that."""
    headers = {"User-Agent": f"ser-lib/{__version__}", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    try:
        response = urlopen(Request(url, headers=headers), timeout=TIMEOUT_S)
    except HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return _send_request(url, 0)
        raise
    place = response.headers.get("Content-Range", "")
    if start and response.status == 206 and not place.startswith(f"bytes {start}-"):
        response.close()
        return _send_request(url, 0)
    return response


def _blocks(name: str, archive: Archive, done: int, response: HTTPResponse) -> Iterator[bytes]:
    """Read on until all is there or the connection breaks, under a bar; a headless run logs."""
    n_blocks = math.ceil((archive.n_bytes - done) / BLOCK_BYTES)
    for _ in progress(range(n_blocks), total=n_blocks, what=f"{name} (MB)"):
        try:
            block = response.read(min(BLOCK_BYTES, archive.n_bytes - done))
        except (OSError, HTTPException):
            return
        if not block:
            return
        tenths = 10 * done // archive.n_bytes
        done += len(block)
        if is_headless() and 10 * done // archive.n_bytes > tenths:
            size = _megabytes(archive.n_bytes)
            logger.info("%s: %.0f %% of %s", name, 100 * done / archive.n_bytes, size)
        yield block


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip file into a folder; what a corpus has not is refused before any is written."""
    max_bytes = min(MAX_UNPACKED_BYTES, MAX_RATIO * archive.stat().st_size)
    folder.mkdir(parents=True, exist_ok=True)
    wrong = ""
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            names = Counter(one.orig_filename for one in members)
            n_bytes = sum(one.file_size for one in members)
            if odd := [one.orig_filename for one in members if not _is_plain(one)]:
                wrong = f"member {odd[0]!r} is a link or a device, or points outside of its folder"
            elif len(names) < len(members):
                wrong = f"it has two members of one name ({names.most_common(1)[0][0]})"
            elif len(members) > MAX_MEMBERS or n_bytes > max_bytes:
                wrong = (
                    f"it has {len(members):,} members of {n_bytes:,} bytes, allowed are "
                    f"{MAX_MEMBERS:,} members and {max_bytes:,} bytes ({MAX_RATIO} times the "
                    f"archive's size, at most {MAX_UNPACKED_BYTES:,})"
                )
            else:
                opened.extractall(folder)
    except UNPACK_ERRORS as error:
        raise DownloadError(
            f"{archive.name} cannot be unpacked ({error or type(error).__name__}): it is damaged "
            f"or incomplete. Delete {archive} and get it again."
        ) from error
    if wrong:
        raise DownloadError(
            f"{archive.name} is no corpus: {wrong}. Nothing was put in place. Do not unpack "
            f"{archive} by hand; delete it, and tell its publisher."
        )


def _is_plain(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a file or folder inside the archive's folder."""
    # `filename` is already cut at a null byte and freed of some separators.
    name = member.orig_filename
    # Zip of DOS has no mode: 0, an ordinary file.
    is_usual = stat.S_IFMT(member.external_attr >> 16) in (0, stat.S_IFREG, stat.S_IFDIR)
    is_outside = name.startswith("/") or ".." in name.split("/")
    return is_usual and not is_outside and not re.search(r"^[A-Za-z]:|[\\\0]", name)
