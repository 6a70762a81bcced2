"""Curves as the event file that TensorBoard reads; knows bytes alone, no SQL and no HTTP.

A file is a row of records: length (uint64), masked CRC32C of it, data, masked CRC32C of the data, all
little-endian (tensorflow/core/lib/io/record_writer.h). The data is an `Event` as a protocol buffer
(tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto), of which this writes

    Event   {double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5}
    Summary {repeated Value value = 1}
    Value   {string tag = 1; float simple_value = 2}
"""

import math
import struct
from functools import lru_cache

VERSION = "brain.Event:2"  # of the format; without it, a reader drops what comes out of order
CASTAGNOLI = 0x82F63B78  # the polynomial of CRC32C, its lowest bit first
MASK = 0xA282EAD8  # so that the checksum of a checksum is none of 0
WORD = 0xFFFFFFFF
LARGEST = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]  # float32

WALL_TIME, STEP, FILE_VERSION, SUMMARY = b"\x09", b"\x10", b"\x1a", b"\x2a"  # fields of an Event
VALUE, TAG, SIMPLE_VALUE = b"\x0a", b"\x0a", b"\x15"


def header(wall_time: float) -> bytes:
    """The first record of every file; the time in seconds since 1970."""
    version = FILE_VERSION + _sized(VERSION.encode())
    return record(WALL_TIME + struct.pack("<d", wall_time) + version)


def scalar(tag: str, step: int, value: float, wall_time: float) -> bytes:
    """One point of one curve; values are float32, and beyond its range infinite."""
    single = math.copysign(math.inf, value) if abs(value) > LARGEST else value
    named = _name(tag) + SIMPLE_VALUE + struct.pack("<f", single)
    summary = SUMMARY + _sized(VALUE + _sized(named))
    return record(WALL_TIME + struct.pack("<d", wall_time) + STEP + _varint(step) + summary)


def record(data: bytes) -> bytes:
    return _length(len(data)) + data + _checksum(data)


def crc32c(data: bytes) -> int:
    crc = WORD
    for byte in data:
        crc = TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ WORD


def _row(byte: int) -> int:
    for _ in range(8):
        byte = (byte >> 1) ^ (CASTAGNOLI if byte & 1 else 0)
    return byte


TABLE = tuple(_row(byte) for byte in range(256))


def _checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    rotated = crc >> 15 | crc << 17 & WORD
    return struct.pack("<I", rotated + MASK & WORD)


@lru_cache(maxsize=1024)
def _length(num_bytes: int) -> bytes:
    packed = struct.pack("<Q", num_bytes)
    return packed + _checksum(packed)


@lru_cache(maxsize=1024)
def _name(tag: str) -> bytes:
    return TAG + _sized(tag.encode())


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; the eighth says that more follow."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])
