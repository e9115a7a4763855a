"""A real JupyterLab and a real Chromium: what a learner's mouse and keyboard meet."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/notebook-extension:tracker": {"scrollPastEnd": False},  # else the page grows with the window
}
NOISE: tuple[str, ...] = ()  # patterns, each with its reason, of console errors that are JupyterLab's own


def waited(condition: Any, seconds: float, wanted: str) -> Any:
    """Return what a condition gives as soon as that is true; fail after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"After {seconds:g} s there was still no {wanted}.")


class Lab:
    """A running JupyterLab over a folder of notebooks, and pages of it.

    Args:
        notebooks: The folder it opens; tests give a copy.
        home: A folder for everything else that it, or a kernel, may write.
        browser: Playwright's browser.
    """

    def __init__(self, notebooks: Path, home: Path, browser: Any) -> None:
        self.notebooks, self.home, self.browser = notebooks, home, browser
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (home / "app").mkdir(parents=True)
        (home / "app" / "overrides.json").write_text(json.dumps(SETTINGS))
        self.log = (home / "lab.log").open("w")
        self.server = subprocess.Popen(self._command(), env=self._environment(), stdout=self.log, stderr=self.log)
        try:
            waited(self._answers, 90, "answer from JupyterLab; its log:\n" + (home / "lab.log").read_text()[-2000:])
        except BaseException:
            self.close()
            raise

    def _command(self) -> list[str]:
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": self.port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": self.notebooks,
            "IdentityProvider.token": self.token,
            "LabApp.app_settings_dir": self.home / "app",
            "LabApp.user_settings_dir": self.home / "settings",
            "LabApp.workspaces_dir": self.home / "workspaces",
            "LabApp.expose_app_in_browser": True,
            "LabApp.news_url": "",
        }
        given = [f"--{name}={value}" for name, value in options.items()]
        return [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", *given]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENTROPIC_EDU_", "JUPYTER_"))}
        places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "ENTROPIC_EDU_HOME")
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        return kept | threads | {name: str(self.home / name.lower()) for name in places}

    def ask(self, path: str) -> Any:
        """Return the JSON that the server answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}", headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def _answers(self) -> bool:
        if self.server.poll() is not None:
            raise AssertionError(f"JupyterLab ended: {(self.home / 'lab.log').read_text()[-2000:]}")
        try:
            return bool(self.ask("api/status"))
        except OSError:
            return False

    def close(self) -> None:
        """End the server, and with it its kernels."""
        self.server.terminate()
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.log.close()

    def open(self, notebook: str, width: int = 1280, height: int = 900) -> Any:
        """Open a notebook in a browser of its own, and return its page when the kernel is idle.

        What the page complains of in its console is collected in ``page.complaints``.
        """
        page = self.browser.new_context(viewport={"width": width, "height": height}).new_page()
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(f"pageerror: {error}"))
        page.on("console", lambda line: self._listen(page, line))
        page.goto(
            f"http://127.0.0.1:{self.port}/lab/workspaces/{secrets.token_hex(4)}/tree/{notebook}?token={self.token}"
        )
        page.wait_for_selector(".jp-NotebookPanel-toolbar", timeout=60_000)
        page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=60_000)
        page.wait_for_function(CONNECTED, timeout=60_000)
        return page

    @staticmethod
    def _listen(page: Any, line: Any) -> None:
        words = f"{line.text} ({line.location.get('url', '')})"
        if line.type == "error" and not any(re.search(pattern, words) for pattern in NOISE):
            page.complaints.append(words)

    def close_page(self, page: Any) -> None:
        """Close a page and shut down its kernel: each takes hundreds of megabytes."""
        page.context.close()
        for session in self.ask("api/sessions"):
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}/api/sessions/{session['id']}",
                headers={"Authorization": f"token {self.token}"},
                method="DELETE",
            )
            urllib.request.urlopen(request, timeout=30).close()

    def kernel(self) -> int:
        """Return the process id of the only kernel."""
        kernels = [kernel["id"] for kernel in self.ask("api/kernels")]
        assert len(kernels) == 1, f"one kernel was to run, not {len(kernels)}"
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                if f"kernel-{kernels[0]}".encode() in process.read_bytes():
                    return int(process.parent.name)
            except OSError:  # a process that has just ended
                continue
        raise AssertionError(f"no process of kernel {kernels[0]}")

    def memory(self) -> float:
        """Return the memory that the only kernel holds now, in MiB."""
        status = Path(f"/proc/{self.kernel()}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def run_all(page: Any, seconds: float = 120) -> None:
    """Run all cells and wait until each has run and the kernel is idle."""
    page.evaluate(RUN)  # which returns at once: an evaluation has no time limit of its own
    page.wait_for_function("window.ran !== null", timeout=1000 * seconds)
    assert page.evaluate("window.ran") is True, f"a cell failed: {errors(page)}"
    wanted = (
        "() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].every(x => /\\d/.test(x.textContent))"
    )
    page.wait_for_function(wanted, timeout=10_000)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', state="attached", timeout=30_000)


# the toolbar says idle before the kernel is there, and cells run at that moment are lost without a word
CONNECTED = """async () => {
  const panel = window.jupyterapp?.shell.currentWidget;
  if (!panel?.sessionContext) return false;
  await panel.context.ready;
  await panel.sessionContext.ready;
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) return false;
  await kernel.info;
  return kernel.connectionStatus === 'connected' && kernel.status === 'idle';
}"""

RUN = """() => {
  window.ran = null;
  jupyterapp.commands.execute('notebook:run-all-cells').then(done => { window.ran = done; });
}"""


def errors(page: Any) -> list[str]:
    """Return the text of every red output and of every error that a widget shows."""
    red = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]'
    stderr = '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]'
    found: list[str] = page.locator(f"{red}, {stderr}, .ee-error, .jupyter-widgets-error-widget").all_inner_texts()
    return found


def screenshot_full(page: Any, file: Path) -> None:
    """Save a picture of the whole notebook: the window grows until all of it is in sight."""
    before = page.viewport_size
    outer = page.locator(".jp-WindowedPanel-outer").first
    for _ in range(3):  # cells that come in sight may grow
        needed = outer.evaluate("panel => panel.scrollHeight - panel.clientHeight")
        if needed <= 0:
            break
        page.set_viewport_size(page.viewport_size | {"height": min(16_000, page.viewport_size["height"] + needed)})
        page.wait_for_timeout(300)
    page.locator(".jp-NotebookPanel-notebook").first.screenshot(path=str(file))
    page.set_viewport_size(before)


def uncover(page: Any) -> None:
    """Skip every prediction, so that no explorer is covered any more."""
    for skip in page.locator(".ee-bet button:enabled:visible", has_text="Skip").element_handles():
        skip.click()
    page.wait_for_function("() => !document.querySelector('p.ee-covered')", timeout=10_000)


def options(explorer: Any, slider: int) -> int:
    """Return how many places a slider has."""
    handle = explorer.locator(".noUi-handle").nth(slider)
    low, high = (float(handle.get_attribute(f"aria-value{name}") or 0) for name in ("min", "max"))
    return round(high - low) + 1


def step(page: Any, explorer: Any, slider: int = 0) -> float:
    """Press an arrow key on a slider of an explorer; return the seconds until the new picture is there, decoded.

    The time is taken in the page, from the key to the picture. It fails if the picture stays as it is for 5 s, or if
    its place on the page ever falls in.
    """
    handle = explorer.locator(".noUi-handle").nth(slider)
    now, low, high = (float(handle.get_attribute(f"aria-value{name}") or 0) for name in ("now", "min", "max"))
    headings = page.__dict__.setdefault("headings", {})  # a slider goes on as it went, and turns round at its ends
    heading = headings[slider] = -1 if now >= high else 1 if now <= low else headings.get(slider, 1)
    explorer.evaluate(ARMED)
    handle.focus()
    page.keyboard.press("ArrowRight" if heading > 0 else "ArrowLeft")
    taken, lowest = explorer.evaluate("explorer => explorer.stepped")
    at = f"slider {slider}, place {handle.get_attribute('aria-valuenow')}"
    assert taken is not None, f"{at}: a step left the picture as it was for 5 s; {errors(page)}"
    assert lowest > 10, f"{at}: the picture fell in to {lowest} pixels while it changed"
    return float(taken) / 1000


ARMED = """explorer => {
  const image = explorer.querySelector('img');
  let begun = null, lowest = image.getBoundingClientRect().height, watching = true;
  const watch = () => {
    const shown = explorer.querySelector('img');
    lowest = Math.min(lowest, shown ? shown.getBoundingClientRect().height : 0);
    if (watching) requestAnimationFrame(watch);
  };
  watch();
  window.addEventListener('keydown', () => { begun = performance.now(); }, { capture: true, once: true });
  explorer.stepped = new Promise(done => {
    const finish = taken => { watching = false; changes.disconnect(); done([taken, lowest]); };
    const changes = new MutationObserver(async () => {
      if (begun === null) return;
      await image.decode().catch(() => null);
      lowest = Math.min(lowest, image.getBoundingClientRect().height);
      finish(performance.now() - begun);
    });
    changes.observe(image, { attributes: true, attributeFilter: ['src'] });
    setTimeout(() => finish(null), 5000);
  });
}"""
