# SPDX-License-Identifier: Apache-2.0
"""The man pages: well formed, in the package, true to the kernel's own text, and their examples
compile and run. That their errors are those that the calls give, lab/test_selftests.py checks."""

import gzip
import re
import subprocess

import pytest

from tests.support import REPO

MAN = REPO / "kernel/man"
PAGES = sorted(MAN.glob("*.[1-8]"))
CALLS = ("get_pid_info", "ft_fork", "ft_kill", "ft_wait")
TREE = REPO / "kernel/tree"
# The members of struct pid_info that are of the call, or are bits that need no group.
OF_THE_CALL = {
    "wanted", "filled", "denied", "supported", "buffer", "match_inode", "match_start_ns",
    "buffer_size", "buffer_needed", "string_max", "cursor", "size", "flags", "reserved",
}  # fmt: skip
GUIDE = (TREE / "Documentation/userspace-api/get_pid_info.rst").read_text()
HEADER = (TREE / "include/uapi/linux/pid_info.h").read_text()
# get_pid_info's own file, and the lines that the series adds to files of the kernel.
ADDED = (TREE / "kernel/pid_info.c").read_text() + "".join(
    re.sub(r"^\+", "", path.read_text(), flags=re.MULTILINE)
    for path in sorted((REPO / "kernel/patches/6.12").glob("*.patch"))
)


def plain(text):
    """The text of a page without its escapes."""
    for escape, character in ((r"\-", "-"), (r"\(aq", "'"), (r"\&", ""), (r"\e", "\\")):
        text = text.replace(escape, character)
    return text


def sections(page):
    parts = re.split(r"^\.SH (.*)\n", page.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_call_has_a_page():
    assert {page.name for page in PAGES} == {
        *(f"{call}.2" for call in CALLS), "pid_info.7", "pidinfo.1",
    }  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_lint(page):
    done = subprocess.run(["mandoc", "-T", "lint", page], capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("call", CALLS)
def test_errors_are_those_of_the_kernel(call):
    """One row for each error that the comment above the entry point names."""
    rows = re.findall(r"^\.TP\n\.B (E\w+)$", sections(MAN / f"{call}.2")["ERRORS"], re.MULTILINE)
    assert rows == sorted(set(rows))
    comment = re.search(rf"^ \* sys_{call} - .*?^ \*/", ADDED, re.MULTILINE | re.DOTALL)[0]
    named = set(re.findall(r"-(E[A-Z0-9]+)", comment.partition("Return:")[2]))
    if "ERESTARTSYS" in named:
        named.add("EINTR")
    elif call == "get_pid_info":
        named.discard("EINTR")  # only of who is being killed, and does not see it
    named -= {"ERESTARTSYS", "ERESTARTNOINTR"}
    assert set(rows) == named | {"ENOSYS"}


def test_numbers_are_those_of_the_kernel():
    for call in CALLS:
        number = re.search(rf"^(\d+)\tcommon\t{call}\t", ADDED, re.MULTILINE)[1]
        page = sections(MAN / f"{call}.2")
        assert f"syscall({number}" in page["SYNOPSIS"]
        assert page["NOTES"].startswith(f"{number} is the number")
        assert f"#define NR_{call} {number}\n" in page["EXAMPLES"]


def test_pid_info_names_every_field_and_group():
    text = plain((MAN / "pid_info.7").read_text())
    struct = re.search(r"^struct pid_info \{.*?^\};", HEADER, re.MULTILINE | re.DOTALL)[0]
    fields = re.findall(r"(\w+)(?:\[\w+\])?;", struct)
    assert len(fields) > 100
    shown = re.search(r"^struct pid_info \{.*?^\};", text, re.MULTILINE | re.DOTALL)[0]
    assert re.findall(r"(\w+)(?:\[\w+\])?[,;]", shown) == fields
    tagged = " ".join(re.findall(r"^\.TP\n\.IR? (.*)", text, re.MULTILINE))
    assert set(fields) <= set(re.findall(r"\w+", tagged))

    groups = re.findall(r"^#define (PID_INFO_\w+)\s+\(1ULL << \d+\)\s", HEADER, re.MULTILINE)
    table = re.search(r"^\.TS$.*?^\.TE$", text, re.MULTILINE | re.DOTALL)[0]
    assert sorted(re.findall(r"^(PID_INFO_\w+)\t", table, re.MULTILINE)) == sorted(groups)
    # And the group of each member, as a comment where its first one stands.
    assert sorted(re.findall(r"/\* (PID_INFO_\w+) \*/", shown)) == sorted(
        [*groups, "PID_INFO_SIZE_VER0", "PID_INFO_SIZE_VER1"]
    )


def test_pid_info_has_the_modes_of_the_header():
    marks = re.findall(r"^#define (PID_INFO_\w+)\s+\(1ULL << \d+\)\s/\* ([RA]) ", HEADER,
                       re.MULTILINE)  # fmt: skip
    modes = {"R": "PTRACE_MODE_READ", "A": "PTRACE_MODE_ATTACH"}
    page = (MAN / "pid_info.7").read_text()
    rows = re.findall(r"^(PID_INFO_\w+)\t(PTRACE_\w+)\t", page, re.MULTILINE)
    assert len(rows) > 9
    assert dict(rows) == {group: modes[mark] for group, mark in marks}


def test_pid_info_has_the_sizes_of_the_header():
    page = (MAN / "pid_info.7").read_text()
    sizes = re.findall(r"^#define (PID_INFO_SIZE_VER\d)\s+(\d+)\s", HEADER, re.MULTILINE)
    assert len(sizes) == 2
    for name, size in sizes:
        assert re.search(rf"^\.BR? {name}(?: ,)?\n(?:is )?{size}\b", page, re.MULTILINE)


def test_pid_info_names_every_bit_of_flags():
    bits = re.findall(r"^#define (PID_INFO_F_\w+)\s", HEADER, re.MULTILINE)
    tags = " ".join(re.findall(r"^\.TP\n\.BR? (PID_INFO_F_.*)",
                               (MAN / "pid_info.7").read_text(), re.MULTILINE))  # fmt: skip
    assert re.findall(r"PID_INFO_F_\w+", tags) == bits


def test_get_pid_info_names_every_flag():
    flags = re.findall(r"^#define (PID_INFO_[A-Z]+)\s+\(1U << \d+\)", HEADER, re.MULTILINE)
    section = sections(MAN / "get_pid_info.2")["DESCRIPTION"]
    assert len(flags) == 3
    assert re.findall(r"^\.TP\n\.B (PID_INFO_\w+)$", section, re.MULTILINE) == flags


def fields_of_groups():
    """The fields that pid_info(7) has under each group."""
    text = plain((MAN / "pid_info.7").read_text())
    parts = re.split(r"^\.SS (PID_INFO_\w+(?:, PID_INFO_\w+)*)\n", text, flags=re.MULTILINE)
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        body = re.split(r"^\.S[SH] ", body, flags=re.MULTILINE)[0]
        tags = re.findall(r"^\.TP\n\.IR? (.*)", body, re.MULTILINE)
        fields = set(re.findall(r"\w+", " ".join(tags)))
        for group in heading.split(", "):
            name = group.removeprefix("PID_INFO_").lower()
            several = ", " in heading
            yield group, {f for f in fields if not several or f == name or f.startswith(name + "_")}


def test_guide_and_page_agree_on_who_may_see_what():
    """Each field is once in the table of Documentation/, with the mode of its group."""
    table = re.search(r"^fields +who .*?\n=.*?\n(.*?)\n=", GUIDE, re.MULTILINE | re.DOTALL)[1]
    by_field = {}
    for line in table.splitlines():
        names, mode, _ = re.split(r"  +", line, maxsplit=2)
        for name in names.split(", "):
            assert name not in by_field
            by_field[name] = mode
    page = (MAN / "pid_info.7").read_text()
    by_group = dict(re.findall(r"^(PID_INFO_\w+)\t([^\t]+)\t", page, re.MULTILINE))

    expected = {field: by_group[group] for group, fields in fields_of_groups() for field in fields}
    assert by_field == expected
    struct = re.search(r"^struct pid_info \{.*?^\};", HEADER, re.MULTILINE | re.DOTALL)[0]
    fields = set(re.findall(r"(\w+)(?:\[\w+\])?;", struct))
    assert set(by_field) == fields - OF_THE_CALL


def test_guide_and_pages_agree_on_errors():
    rows = {
        call: set(re.findall(r"^\.TP\n\.B (E\w+)$", (MAN / f"{call}.2").read_text(), re.MULTILINE))
        for call in CALLS
    }
    table = re.search(r"^error +when\n=.*?\n(.*?)\n=", GUIDE, re.MULTILINE | re.DOTALL)[1]
    assert set(re.findall(r"^(E\w+) ", table, re.MULTILINE)) == rows.pop("get_pid_info")
    for call, errors in rows.items():
        line = re.search(rf"^{call}\(\)  .*  (E[\w, ]+)$", GUIDE, re.MULTILINE)[1]
        assert set(line.split(", ")) | {"ENOSYS"} == errors


def test_package_holds_them():
    build = REPO / "deploy/debian/build"
    deb = subprocess.check_output([build], text=True).splitlines()[-1]
    # pidinfo(1) is installed with the program, which is built for a machine.
    for page in PAGES:
        if page.name == "pidinfo.1":
            continue
        path = f"./usr/share/man/man{page.suffix[1:]}/{page.name}.gz"
        archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
        with archive:
            packed = subprocess.check_output(["tar", "-xO", path], stdin=archive.stdout)
        assert gzip.decompress(packed) == page.read_bytes()


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """The folder of the examples, each compiled as the page has it."""
    folder = tmp_path_factory.mktemp("man")
    for call in CALLS:
        source = re.search(r"^\.EX\n(.*)^\.EE$", sections(MAN / f"{call}.2")["EXAMPLES"],
                           re.MULTILINE | re.DOTALL)[1]  # fmt: skip
        (folder / f"{call}.c").write_text(plain(source))
        command = ["gcc", "-static", "-Wall", "-Wextra", "-Werror",
                   f"-I{TREE}/include/uapi", "-o", folder / call, f"{call}.c"]  # fmt: skip
        subprocess.run(command, cwd=folder, check=True)
    return folder


def test_examples_compile(examples):
    assert {path.name for path in examples.iterdir() if not path.suffix} == set(CALLS)


def test_examples_run(lab, examples):
    lab.copy_in(examples, "/root/man")
    shown = lab.exec("/root/man/get_pid_info", "1").stdout
    assert re.fullmatch(r"1 systemd: [SR], child of 0, \d+ children, \d+ s old, in /\n", shown)
    everybody = lab.exec("/root/man/get_pid_info").stdout.splitlines()
    assert len(everybody) > 20
    assert lab.exec("/root/man/get_pid_info", "3999999", check=False).returncode == 1

    assert re.fullmatch(r"child \d+ ended with 7\n", lab.exec("/root/man/ft_fork").stdout)
    shown = lab.exec("/root/man/ft_wait", "exit 3", "kill -9 $$").stdout
    assert sorted(re.sub(r"^\d+", "", line) for line in shown.splitlines()) == [
        ": signal 9", ": status 3",
    ]  # fmt: skip
    lab.exec("/root/man/ft_kill", "1", "0")
    failed = lab.exec("/root/man/ft_kill", "3999999", "15", check=False)
    assert failed.stderr == "ft_kill: No such process\n"
