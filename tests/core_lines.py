"""What check_vectors.c, which runs the C core without Python, reads: a check a line."""

from collections.abc import Iterator

from qubic_vectors import qubic_vectors
from realtime_protocol.identity import encode_identity
from signature_corpus import Record


def vector_lines() -> Iterator[str]:
    """Yield every vector, and inputs of all ones and all zeros."""
    yield from k12_lines()
    yield from key_lines()
    yield from signature_lines()
    yield from extreme_lines()


def record_line(record: Record, verdict: int) -> str:
    """Return the check of a record of key, digest and signature."""
    fields = record[:32], record[32:64], record[64:]
    return " ".join(("verify", *(each.hex() for each in fields), f"{verdict:02d}"))


def k12_lines() -> Iterator[str]:
    for vector in qubic_vectors()["k12"]:
        if "input" in vector:
            data = bytes.fromhex(vector["input"])
        else:
            factor = vector["pattern"]["a"]
            data = bytes((i * factor + 7) % 251 for i in range(vector["input_len"]))
        yield f"k12 {data.hex() or '-'} {vector['output']}"


def key_lines() -> Iterator[str]:
    for key in qubic_vectors()["keys"]:
        yield f"keygen {key['private_key']} {key['public_key']}"
        text = key["identity"].encode()
        yield f"identity {text.hex()} {key['public_key']}"
        yield f"identity {text[:-1].hex()} -"
        yield f"identity {(text + b'A').hex()} -"
        yield f"identity {(text[:-1] + b'?').hex()} -"
        yield f"identity {(b'Z' * 14 + text[14:]).hex()} -"


def signature_lines() -> Iterator[str]:
    subseeds = {key["public_key"]: key["subseed"] for key in qubic_vectors()["keys"]}
    for each in qubic_vectors()["signatures"]:
        key, digest, signature = each["public_key"], each["digest"], each["signature"]
        yield f"sign {subseeds[key]} {key} {digest} {signature}"
        yield f"sign {subseeds[key]} {'02' * 32} {digest} {'00' * 64}"
        yield f"verify {key} {digest} {signature} 01"
        yield f"verify {key} - {signature} 00"
    for each in qubic_vectors()["tampered"]:
        if len(each["public_key"]) == 64 and len(each["signature"]) == 128:
            yield f"verify {each['public_key']} {each['digest']} {each['signature']} 00"


def extreme_lines() -> Iterator[str]:
    """Yield inputs of all ones and all zeros: the longest carries, and keys that are none."""
    for byte in ("00", "ff", "7f", "80"):
        for other in ("00", "ff", "7f", "80"):
            yield f"verify {byte * 32} {other * 32} {other * 64} 00"
        yield f"verify {qubic_vectors()['keys'][0]['public_key']} - {byte * 64} 00"
    yield f"identity {encode_identity(bytes(32)).encode().hex()} {'00' * 32}"
    yield f"identity {encode_identity(bytes([255] * 32)).encode().hex()} {'ff' * 32}"
