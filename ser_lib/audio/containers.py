"""What the bytes of an audio file say before it is decoded: who can read it, and where it ends.

Nothing is decoded here. A file that is shorter than its container says was cut; raw streams (AMR,
ADTS and LATM, MP3 without a tag) and containers that are written as they go (Ogg, WebM, MPEG-TS)
state no length: of them only an incomplete last frame, page or packet shows a cut, and one that
falls between two cannot be known.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

# Beginnings of files that libsndfile does not know, by PyAV's name of their reader. Naming the
# reader keeps a file from being taken for a playlist, which could name other files.
READERS = {
    "mov": rb".{4}(ftyp|moov|mdat|wide|free|skip)",
    "matroska": rb"\x1a\x45\xdf\xa3",
    "asf": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    "amr": rb"#!AMR(-WB)?\n",
    "aac": rb"\xff[\xf0\xf1\xf8\xf9]",
    "loas": rb"\x56[\xe0-\xff]",
    "mpegts": rb"(.{4})?\x47.{187}(?(1).{4})\x47",
    "avi": rb"RIFF.{4}AVI ",
}
# Those that hold encodings of which libsndfile knows some, and is asked first: Opus in CAF, G.726
# in WAV. In a WAV, what is not PCM or float.
SPARE_READERS = {
    "wav": rb"RIFF.{4}WAVEfmt .{4}(?!\x01\x00|\x03\x00|\xfe\xff)",
    "caf": rb"caff",
    "ogg": rb"OggS.{24}(Speex|\x7fFLAC|\x80theora|fishead)",
    "aiff": rb"FORM.{4}AIFC",
}
HEAD_BYTES = 400
MISCOUNTED_BYTES = 100  # writers count the header as samples too; a few milliseconds


@dataclass(frozen=True)
class Structure:
    """What is said of a file by its first bytes, and those at which its parts begin."""

    reader: str = ""
    """PyAV's, for what libsndfile does not read; else empty."""
    spare_reader: str = ""
    """PyAV's, for what libsndfile may fail to read; else empty."""
    end: int = 0
    """Where the file should end, in bytes; at most its length where it is whole."""
    at: int = 0
    """Where `patch` stands for other bytes, and `tag` before them."""
    patch: bytes = b""
    """A size that was not filled in."""
    links: tuple[int, ...] = ()
    """Where the recordings begin of which a chained Ogg consists; empty where it is one."""
    tag: bytes = b""
    """A frame that says that an MP3 is endless, where its first one does not say its length, or
    only that of the first of several."""


def read_structure(file: BinaryIO, length: int) -> Structure:
    """Read what the bytes of an open file say about it; `length` is that of the file."""
    head = file.read(HEAD_BYTES)
    if start := _tag_bytes(head):
        file.seek(start)
        head = file.read(HEAD_BYTES)
    reader, spare = (
        next((name for name, one in table.items() if re.match(one, head, re.DOTALL)), "")
        for table in (READERS, SPARE_READERS)
    )
    if head.startswith(b"OggS"):
        links, end = _ogg_links(file, length)
        return Structure(reader, spare, end, links=links if len(links) > 1 else ())
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return Structure(reader, spare, *_wav_sizes(file, length))
    if head.startswith(b"caff"):
        return Structure(reader, spare, *_caf_sizes(file, length))
    find_end = _sphere_end if head.startswith(b"NIST_1A") else ENDS.get(reader)
    if find_end:
        return Structure(reader, spare, find_end(file, length))
    tag = _endless_tag(head[:200])
    if stated := re.search(MP3_SIZED, head[:200], re.DOTALL):
        file.seek(start + int.from_bytes(stated[1] or b"", "big"))
        if stated[1] is None or not re.match(MP3_NEXT, file.read(HEAD_BYTES), re.DOTALL):
            tag = b""  # it says its length, and no other follows
    return Structure(reader, spare, _mp3_end(file, start, length) if tag else 0, start, tag=tag)


def _ogg_links(file: BinaryIO, length: int) -> tuple[tuple[int, ...], int]:
    """Return where the recordings in an Ogg begin, and where the last of its pages ends."""
    at, links, was_first = 0, [], False
    while at < length:
        file.seek(at)
        head = file.read(27 + 255)
        if not b"OggS".startswith(head[:4]):
            break  # a tag that does not belong here
        is_first = len(head) > 5 and bool(head[5] & 2)
        if is_first and not was_first:
            links.append(at)
        was_first = is_first
        n_parts = head[26] if len(head) > 26 else 255
        at += 27 + n_parts + sum(head[27 : 27 + n_parts])
    return tuple(links), at


def _endless_tag(frame: bytes) -> bytes:
    """Return a frame that says an MP3 is endless, like its first; none where that is of no MP3.

    It has 128 or 80 kbit/s, for which its own size is known.
    """
    is_mp3 = len(frame) == 200 and frame[0] == 0xFF and frame[1] & 0xE6 == 0xE2
    if not is_mp3:
        return b""
    version, rate, is_mono = frame[1] >> 3 & 3, frame[2] >> 2 & 3, frame[3] >= 0xC0
    if version == 1 or rate == 3:
        return b""
    n_side = (17 if is_mono else 32) if version == 3 else (9 if is_mono else 17)
    rate_hz = MP3_RATES_HZ[rate] >> MP3_HALVINGS[version]
    n_bytes = (144 * 128_000 if version == 3 else 72 * 80_000) // rate_hz
    head = bytes((0xFF, frame[1] | 1, 0x90 | frame[2] & 0x0C, frame[3]))
    return (head + bytes(n_side) + b"Xing\0\0\0\1\x7f\xff\xff\xff").ljust(n_bytes, b"\0")


def _tag_bytes(head: bytes) -> int:
    """Return how long a tag of ID3 is, by its beginning; 0 where that is none."""
    if head.startswith(b"ID3"):
        return 10 + sum(n << 7 * place for place, n in enumerate(head[9:5:-1]))
    return 128 if head.startswith(b"TAG") else 0


def _mp3_end(file: BinaryIO, start: int, length: int) -> int:
    """Return where the last frame of an MP3 ends."""
    at = start
    while at < length:
        file.seek(at)
        head = file.read(10)
        if n_bytes := _tag_bytes(head):
            at += n_bytes
            continue
        is_frame = len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2
        version, rate = (head[1] >> 3 & 3, head[2] >> 2 & 3) if is_frame else (1, 3)
        kbps = (MP3_KBPS if version == 3 else MP3_LOW_KBPS)[head[2] >> 4] if is_frame else 0
        if version == 1 or rate == 3 or not kbps:
            return length  # what does not belong here
        rate_hz = MP3_RATES_HZ[rate] >> MP3_HALVINGS[version]
        at += (144_000 if version == 3 else 72_000) * kbps // rate_hz + (head[2] >> 1 & 1)
    return at


# By the four bits of a frame, of MPEG 1 and of its lower rates.
MP3_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
MP3_LOW_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0)
# A frame that says its length, most often also in bytes; what follows where MP3s were joined.
MP3_SIZED = rb"(?:Xing|Info)(?:\0{3}[\x03\x07\x0b\x0f].{4}(.{4}))?|VBRI"
MP3_NEXT = rb"(TAG.{125})?(ID3|\xff[\xe2-\xff])"
MP3_RATES_HZ, MP3_HALVINGS = (44_100, 48_000, 32_000), {3: 0, 2: 1, 0: 2}


def _wav_sizes(file: BinaryIO, length: int) -> tuple[int, int, bytes]:
    """Return where a WAV should end, and where the size of its samples was not filled in, with it.

    libsndfile ignores that there are fewer samples than promised.
    """
    # The size of the whole, in this head, is often wrong, and says nothing about the samples.
    file.seek(12)
    while len(chunk := file.read(8)) == 8:
        size, start = int.from_bytes(chunk[4:], "little"), file.tell()
        if chunk[:4] != b"data":
            file.seek(start + size + size % 2)
            continue
        if size == 0 and start < length and not file.read(4).strip().isalnum():
            return 0, start - 4, min(length - start, 2**32 - 1).to_bytes(4, "little")
        # Programs that write into pipes leave about 2 or 4 GB.
        is_placeholder = size >= 2**32 - 4096 or abs(size - 2**31) <= 4096
        is_short = start + size > length + MISCOUNTED_BYTES and not is_placeholder
        return start + size if is_short else 0, 0, b""
    return 0, 0, b""


def _boxes_end(file: BinaryIO, length: int) -> int:
    """Return where the last box of an MP4 or QuickTime file ends."""
    at = 0
    while at < length:
        file.seek(at)
        head = file.read(16)
        size = int.from_bytes(head[:4], "big")
        if head[4:8] not in BOXES or size == 0:
            return length  # something that does not belong here, or a box to the end
        at += max(8, int.from_bytes(head[8:], "big") if size == 1 else size)
    return at


BOXES = frozenset(b"ftyp styp moov moof mdat mfra sidx free skip wide uuid meta".split())
# Of a frame, by its mode, behind the byte that says it.
AMR_BYTES = (12, 13, 15, 17, 19, 20, 26, 31, 5)
AMR_WIDE_BYTES = (17, 23, 32, 36, 40, 46, 50, 58, 60, 5)
SEGMENT, CLUSTER = bytes.fromhex("18538067"), bytes.fromhex("1f43b675")


def _elements_end(file: BinaryIO, length: int) -> int:
    """Return where the segment of a Matroska ends; where it says no size, its last element."""
    at = 0
    while at < length:
        file.seek(at)
        head = file.read(12)
        n_name = 9 - head[0].bit_length()
        if n_name > 4:
            return length  # what does not belong here
        n_size = 9 - int.from_bytes(head[n_name : n_name + 1]).bit_length()
        size = int.from_bytes(head[n_name : n_name + n_size]) & (most := 2 ** (7 * n_size) - 1)
        at += n_name + n_size
        name = head[:n_name]
        if name == SEGMENT and size != most:
            return at + size
        if name not in (SEGMENT, CLUSTER):
            at += size
    return at


def _amr_end(file: BinaryIO, length: int) -> int:
    """Return where the last frame of an AMR file ends."""
    file.seek(0)
    at = len(file.readline(20))
    sizes = AMR_BYTES if at == 6 else AMR_WIDE_BYTES
    frames = bytes(at) + file.read()
    while at < length:
        mode = frames[at] >> 3 & 15
        at += 1 + (sizes[mode] if mode < len(sizes) else 0)
    return at


def _packets_end(file: BinaryIO, length: int) -> int:
    """Return where the last packet of an MPEG-TS ends."""
    file.seek(0)
    n_bytes = 188 if file.read(1) == b"\x47" else 192
    return -(-length // n_bytes) * n_bytes


def _asf_end(file: BinaryIO, length: int) -> int:
    """Return where the packets of a WMA file end, behind its header."""
    file.seek(16)
    header = int.from_bytes(file.read(8), "little")
    file.seek(header + 16)
    size = int.from_bytes(file.read(8), "little")
    return header + size if header + 24 <= length else header + 24


def _caf_sizes(file: BinaryIO, length: int) -> tuple[int, int, bytes]:
    """Return the same of a CAF."""
    at = 8
    while at < length:
        file.seek(at)
        head = file.read(12)
        size = int.from_bytes(head[4:], "big", signed=True)
        if size < 0:
            # A recorder was killed, or wrote into a pipe.
            return 0, at + 4, (length - at - 12).to_bytes(8, "big")
        at += 12 + size
    return at, 0, b""


def _riff_end(file: BinaryIO, length: int) -> int:
    """Return where an AVI ends; its later parts are left alone."""
    file.seek(4)
    return 8 + int.from_bytes(file.read(4), "little")


def _sphere_end(file: BinaryIO, length: int) -> int:
    """Return where the samples of a SPHERE file end."""
    file.seek(0)
    header = file.read(1024).decode("latin-1")
    sizes = [
        re.search(rf"^{name} -i (\d+)", header, re.MULTILINE)
        for name in ("sample_count", "sample_n_bytes", "channel_count")
    ]
    start = re.match(r"NIST_1A\s+(\d+)\s", header)
    if not start or not all(sizes) or "-shorten" in header:
        return 0
    n_samples, n_bytes, n_channels = (int(one[1]) for one in sizes if one)
    return int(start[1]) + n_samples * n_bytes * n_channels


ENDS = {
    "mov": _boxes_end,
    "matroska": _elements_end,
    "asf": _asf_end,
    "amr": _amr_end,
    "mpegts": _packets_end,
    "avi": _riff_end,
}
