"""What a record says of the machine."""

from __future__ import annotations

from matrix.tools import host, processor

AMD = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC 9B14
flags\t\t: fpu vme sse4_1 fma avx avx2 avx512f hypervisor rdrand

processor\t: 1
vendor_id\t: AuthenticAMD
"""


def test_processor_of_cpuinfo(tmp_path):
    (tmp_path / "cpuinfo").write_text(AMD)
    assert processor(tmp_path / "cpuinfo") == {
        "processor": "AMD EPYC 9B14",
        "vendor": "AuthenticAMD",
        "family/model": "25/17",
        "flags": "avx avx2 avx512f fma hypervisor sse4_1",
    }


def test_processor_is_unknown(tmp_path):
    assert processor(tmp_path / "none")["vendor"] == ""


def test_host_has_processor():
    assert processor().items() <= host().items()
