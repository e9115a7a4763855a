import os
import tempfile
from importlib import metadata

import pytest
import torch
from packaging.requirements import Requirement

from entropic_edu import data
from entropic_edu.teaching import doctor


@pytest.fixture
def healthy(tmp_path, monkeypatch):
    """A writable folder, no CIFAR-10 anywhere, memory and cores to spare, every dependency as declared."""
    monkeypatch.delenv("ENTROPIC_EDU_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "available_memory", lambda: 8.0)
    monkeypatch.setattr(doctor, "cores", lambda: 64)
    monkeypatch.setattr(metadata, "requires", lambda name: ["torch>=2.6", 'ruff>=999; extra == "dev"'])
    return monkeypatch


def report():
    """One line for each check."""
    return [str(check) for check in doctor.checks()]


def line(what):
    """The report's line on one thing."""
    (found,) = [line for line in report() if line.split()[1] == what]
    return found


def test_a_healthy_installation_is_all_ok_and_exits_with_zero(healthy, capsys):
    assert doctor.main() == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert {text.split()[0] for text in lines} == {"ok"}
    assert [text.split()[1] for text in lines] == [
        "Python", "torch", "device", "threads", "memory", "front", "ipywidgets", "anywidget", "lessons", "digits",
        "CIFAR-10", "results",
    ]  # fmt: skip
    assert last == "12 ok, 0 to look at, 0 failed."


def test_main_prints_the_checks(healthy, capsys):
    doctor.main()
    assert capsys.readouterr().out.splitlines()[:-1] == report()


def test_a_warning_does_not_fail_and_a_failure_does(healthy, capsys):
    healthy.setattr(doctor, "available_memory", lambda: 1.2)
    assert doctor.main() == 0
    healthy.setattr(doctor, "available_memory", lambda: 0.3)
    assert doctor.main() == 1
    assert "1 failed" in capsys.readouterr().out


def test_dependencies_are_held_against_the_declared_ranges(healthy):
    healthy.setattr(metadata, "requires", lambda name: ["torch>=999", "numpy>=1", "no-such-package>=2"])
    version = metadata.version("torch")
    remedy = 'run pip install -c constraints.txt "torch>=999"'
    assert line("torch") == f"fail  torch         {version}, wanted >=999; {remedy}."
    assert line("numpy").startswith("ok ")
    assert line("no-such-package").startswith("fail")
    assert '"no-such-package>=2"' in line("no-such-package")


def test_a_package_that_is_not_installed_is_a_warning(healthy):
    def nowhere(name):
        raise metadata.PackageNotFoundError(name)

    healthy.setattr(metadata, "requires", nowhere)
    assert line("entropic-edu").startswith("warn")
    assert "pip install -e ." in line("entropic-edu")


def test_the_ranges_in_pyproject_are_met_by_this_environment():
    known = {Requirement(needed).name for needed in metadata.requires("entropic-edu")}
    assert not [check for check in doctor.checks() if check.what in known and check.state == "fail"]


def test_a_broken_device_is_reported_with_torchs_own_words(healthy):
    def broken(*args, **kwargs):
        raise RuntimeError("no kernel image\nand more")

    healthy.setattr(torch, "ones", broken)
    assert line("device").startswith("fail")
    assert "(no kernel image)" in line("device")


def test_more_threads_than_cores_is_a_warning_that_names_the_setting(healthy):
    healthy.setattr(doctor, "cores", lambda: 2)
    healthy.setattr(torch, "get_num_threads", lambda: 16)
    assert line("threads").startswith("warn")
    assert "OMP_NUM_THREADS=2" in line("threads")


@pytest.fixture
def files(monkeypatch):
    """The system's files that tell of memory: what a test puts here, and no other."""
    contents = {}
    monkeypatch.setattr(doctor, "_read", lambda file: contents.get(file, ""))
    return contents


def test_memory_is_the_least_of_the_system_and_the_container(files):
    system = {"/proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 4000000 kB\n"}
    limited = {"/sys/fs/cgroup/memory.max": "3000000000\n", "/sys/fs/cgroup/memory.current": "500000000\n"}
    unlimited = {"/sys/fs/cgroup/memory.max": "max\n", "/sys/fs/cgroup/memory.current": "500000000\n"}
    for contents, expected in ((system, 4.096), (system | unlimited, 4.096), (system | limited, 2.5)):
        files.clear()
        files |= contents
        assert doctor.available_memory() == pytest.approx(expected)
    files.clear()
    assert doctor.available_memory() is None


@pytest.mark.parametrize(
    ("free", "state"), [(8.0, "ok"), (1.5, "ok"), (1.4, "warn"), (0.5, "warn"), (0.4, "fail"), (None, "warn")]
)
def test_the_state_of_memory_follows_what_the_story_takes(healthy, free, state):
    healthy.setattr(doctor, "available_memory", lambda: free)
    assert line("memory").split()[0] == state


def test_unreadable_digits_fail_with_the_reason(healthy):
    def gone():
        raise OSError("digits.csv.gz is gone")

    healthy.setattr(data, "digits", gone)
    assert line("digits").startswith("fail")
    assert "digits.csv.gz is gone" in line("digits")
    assert "scikit-learn" in line("digits")
    assert doctor.data_main() == 1


def test_a_copy_of_cifar10_is_named_and_an_incomplete_one_warned_of(healthy, tmp_path):
    folder = tmp_path / "data" / data.FOLDER
    folder.mkdir(parents=True)
    for name in (*data.TRAIN_FILES, data.TEST_FILE):
        (folder / name).write_bytes(b"")
    assert line("CIFAR-10").startswith("ok")
    assert "copy in" in line("CIFAR-10")
    (folder / "data_batch_4.bin").unlink()
    assert line("CIFAR-10").startswith("warn")
    assert "data_batch_4.bin missing; unpack" in line("CIFAR-10")


def test_a_folder_that_cannot_be_written_fails_with_what_to_do(healthy):
    def refused(**kwargs):
        raise PermissionError(13, "Permission denied")

    healthy.setattr(tempfile, "TemporaryFile", refused)
    assert line("results").startswith("fail")
    assert "(Permission denied)" in line("results")
    assert "--out" in line("results")


def test_data_main_says_what_is_there_and_where_it_looked(healthy, tmp_path, capsys):
    healthy.setenv("ENTROPIC_EDU_DATA", str(tmp_path / "named"))
    assert doctor.data_main() == 0
    told = capsys.readouterr().out
    assert "1,297 x 64 for training, 500 held out" in told
    assert "no copy found" in told
    for place in (tmp_path / "named", tmp_path / "home" / ".cache" / "entropic_edu", tmp_path / "data"):
        assert f"  {place}  (no such folder)\n" in told
        assert f"  {place / data.FOLDER}  (no such folder)\n" in told


def test_the_page_for_a_question_names_nobody(healthy, capsys, tmp_path):
    home = os.path.expanduser("~")
    healthy.setattr(doctor.getpass, "getuser", lambda: "ada")
    healthy.setattr(doctor.platform, "node", lambda: "engine")
    healthy.setattr(doctor, "checks", lambda: iter([doctor.Check("ok", "x", f"{home}/a|b of ada on engine, adapted")]))
    assert doctor.main("-") == 0
    page = capsys.readouterr().out
    assert "| ok | x | ~/a/b of USER on MACHINE, adapted |" in page
    assert doctor.main(str(tmp_path / "page.md")) == 0
    assert (tmp_path / "page.md").read_text() == page
    assert "Wrote" in capsys.readouterr().out


def test_the_page_fails_where_a_check_failed(healthy, capsys):
    healthy.setattr(doctor, "checks", lambda: iter([doctor.Check("fail", "x", "broken", "mend it")]))
    assert doctor.main("-") == 1
    assert "| fail | x | broken; mend it |" in capsys.readouterr().out


def test_a_user_without_a_name_is_no_trouble(healthy):
    def nobody():
        raise KeyError("no such user")

    healthy.setattr(doctor.getpass, "getuser", nobody)
    assert doctor.nameless("as it is") == "as it is"


def test_widgets_that_are_not_installed_or_not_found_by_jupyterlab_are_named(healthy):
    assert line("ipywidgets").startswith("ok")
    healthy.setattr(doctor, "_extensions", list)
    assert "is not where JupyterLab looks; run pip install --force-reinstall ipywidgets" in line("ipywidgets")
    known = metadata.version

    def version(name):
        if name in ("anywidget", *doctor.FRONT_ENDS):
            raise metadata.PackageNotFoundError(name)
        return known(name)

    healthy.setattr(metadata, "version", version)
    assert "not installed" in line("anywidget")
    assert 'run pip install "entropic-edu[lab]"' in next(each for each in report() if "front end" in each)


def test_lessons_that_are_missing_are_named(healthy, tmp_path):
    assert line("lessons").startswith("ok")
    healthy.setattr(doctor.lab, "__file__", str(tmp_path / "entropic_edu" / "lab.py"))
    assert "install it anew" in line("lessons")
