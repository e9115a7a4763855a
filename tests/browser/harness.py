"""Real Jupyter servers and a real Chromium: what a learner's mouse and keyboard meet."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

from entropic_edu.teaching import lab

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension:plugin": {"autosave": False},
    "@jupyterlab/notebook-extension:tracker": {"scrollPastEnd": False},  # else the page grows with the window
}
NOISE = (  # patterns, each with its reason, of console errors that are the front end's own
    "fontawesome",  # Voila's page asks the network for icons, and does without
    r"status of 500 .*/api/kernels\?",  # see BLOCKS
    r"reading 'schema'",  # Notebook 7 looks for the settings of a plugin of JupyterLab that it has not
    r"\[anywidget\] Failed to initialize model",  # it waits two seconds, less than a busy machine may take
)
LOGGED = (  # the same for lines of a server's log
    "is not trusted",  # the copy of a notebook is signed by nobody
    "websocket_ping_timeout",  # jupyter_server's own defaults do not fit each other
    "running over TCP without encryption",  # told by each kernel that is not on a socket of its own
    "_xsrf",  # Voila with a token refuses its own page's request to end the kernel: what culling is for
)


BLOCKS = (  # the same for whole blocks of lines of a server's log
    # tornado's words where a message was on its way to a page that is closed at that moment
    r"^Task exception was never retrieved\nfuture: .*WebSocketProtocol13.*\n(?:.*\n){1,12}?"
    r"tornado\.websocket\.WebSocketClosedError\n",
    # jupyter_server cannot list kernels in the moment in which one starts; the page asks again
    r"^\[E .* Uncaught exception GET /api/kernels\?(?:.*\n){1,60}?.*'last_activity' trait(?:.*\n){1,12}?"
    r"\[E .*\] 500 GET /api/kernels\?.*\n",
)


def waited(condition: Any, seconds: float, wanted: str) -> Any:
    """Return what a condition gives as soon as that is true; fail after so many seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"After {seconds:g} s there was still no {wanted}.")


class Server:
    """A running front end over a folder of notebooks, and pages of it.

    Args:
        notebooks: The folder it opens; tests give a copy.
        home: A folder for everything else that it, or a kernel, may write.
        browser: Playwright's browser.
    """

    name = ""
    keys = ("", "")  # forward and back on a slider

    def __init__(self, notebooks: Path, home: Path, browser: Any) -> None:
        self.notebooks, self.home, self.browser = notebooks, home, browser
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (home / "app").mkdir(parents=True)
        (home / "app" / "overrides.json").write_text(json.dumps(SETTINGS))
        self.logged = home / "server.log"
        self.log = self.logged.open("w")
        self.server = subprocess.Popen(self.command(), env=self.environment(), stdout=self.log, stderr=self.log)
        try:
            waited(self.answers, 90, f"answer from {self.name}")
        except BaseException:
            self.close()
            raise

    def command(self) -> list[str]:
        """Return the command that starts it."""
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": self.port,
            "ServerApp.port_retries": 0,
            "ServerApp.root_dir": self.notebooks,
            "IdentityProvider.token": self.token,
            **self.options(),
        }
        given = [f"--{name}={value}" for name, value in options.items()]
        return [sys.executable, "-m", "jupyter", self.name, "--no-browser", "--allow-root", *given]

    def options(self) -> dict[str, object]:
        """Return what it is told beside address, folder and token."""
        return {}

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ENTROPIC_EDU_", "JUPYTER_"))}
        places = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "ENTROPIC_EDU_HOME")
        threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        return kept | threads | {name: str(self.home / name.lower()) for name in places}

    def ask(self, path: str, method: str = "GET") -> Any:
        """Return the JSON that the server answers, or None where it answers nothing."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/{path}", headers={"Authorization": f"token {self.token}"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or "null")

    def answers(self) -> bool:
        if self.server.poll() is not None:
            raise AssertionError(f"{self.name} ended: {self.logged.read_text()[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def complaints(self) -> list[str]:
        """Return the lines of the server's log that are a warning, an error or a traceback; of its kernels' too."""
        begins = r"^(?:\[[WEC] |\[\w+\] (?:WARNING|ERROR|CRITICAL)|Traceback|\w*(?:Error|Warning)\b).*"
        told = self.logged.read_text()
        for block in BLOCKS:
            told = re.sub(block, "", told, flags=re.MULTILINE)
        lines = re.findall(begins, told, re.MULTILINE)
        return [line for line in lines if not any(re.search(pattern, line) for pattern in LOGGED)]

    def close(self) -> None:
        """End the server, and with it its kernels."""
        self.server.terminate()
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.log.close()

    def address(self, notebook: str) -> str:
        """Return where a notebook is, without the token."""
        raise NotImplementedError

    def await_ready(self, page: Any) -> None:
        """Wait until a page can be used."""
        raise NotImplementedError

    def page(self, notebook: str, width: int = 1280, height: int = 900, **settings: Any) -> Any:
        """Go to a notebook in a browser of its own, and return the page.

        What the page complains of in its console is collected in ``page.complaints``.
        """
        page = self.browser.new_context(viewport={"width": width, "height": height}, **settings).new_page()
        page.complaints, page.headings, page.keys = [], {}, self.keys
        page.on("pageerror", lambda error: self.collect(page, f"pageerror: {error}"))
        page.on("console", lambda line: self.listen(page, line))
        page.goto(f"http://127.0.0.1:{self.port}/{self.address(notebook)}?token={self.token}", timeout=300_000)
        return page

    def open(self, notebook: str, **settings: Any) -> Any:
        """Open a notebook and return its page when the page can be used."""
        page = self.page(notebook, **settings)
        self.await_ready(page)
        return page

    @staticmethod
    def listen(page: Any, line: Any) -> None:
        if line.type == "error":
            Server.collect(page, f"{line.text} ({line.location.get('url', '')})")

    @staticmethod
    def collect(page: Any, words: str) -> None:
        if not any(re.search(pattern, words) for pattern in NOISE):
            page.complaints.append(words)

    def close_page(self, page: Any) -> None:
        """Close a page and shut down its kernel: each takes hundreds of megabytes."""
        page.context.close()
        for session in self.ask("api/sessions"):
            self.ask(f"api/sessions/{session['id']}", "DELETE")

    def forget(self) -> None:
        """Take off all answers that learners have given; no kernel may run."""
        shutil.rmtree(self.home / "entropic_edu_home", ignore_errors=True)

    def kernels(self) -> list[int]:
        """Return the process ids of all kernels, the oldest first."""
        found = []
        for children in Path(f"/proc/{self.server.pid}/task").glob("*/children"):
            for child in map(int, children.read_text().split()):
                if b"ipykernel" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(child)
        return sorted(found)

    def memory(self) -> float:
        """Return the memory that the only kernel holds now, in MiB."""
        [kernel] = self.kernels()
        status = Path(f"/proc/{kernel}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


class Lab(Server):
    """JupyterLab 4."""

    name = "lab"
    keys = ("ArrowRight", "ArrowLeft")

    def options(self) -> dict[str, object]:
        return {
            "LabApp.app_settings_dir": self.home / "app",
            "LabApp.user_settings_dir": self.home / "settings",
            "LabApp.workspaces_dir": self.home / "workspaces",
            "LabApp.expose_app_in_browser": True,
            "LabApp.news_url": "",
        }

    def address(self, notebook: str) -> str:
        return f"lab/workspaces/{secrets.token_hex(4)}/tree/{notebook}"

    def await_ready(self, page: Any) -> None:
        page.wait_for_selector(".jp-NotebookPanel-toolbar", timeout=300_000)
        page.wait_for_selector("#jupyterlab-splash", state="detached", timeout=300_000)
        page.wait_for_function(CONNECTED, timeout=300_000)


class Notebook(Server):
    """Notebook 7, which is JupyterLab's parts with one notebook on a page."""

    name = "notebook"
    keys = ("PageUp", "PageDown")  # it keeps the arrow keys for itself

    def options(self) -> dict[str, object]:
        named = {"app": "app_settings", "settings": "user_settings", "workspaces": "workspaces"}
        places = {f"JupyterNotebookApp.{option}_dir": self.home / folder for folder, option in named.items()}
        return {**places, "JupyterNotebookApp.expose_app_in_browser": True}

    def address(self, notebook: str) -> str:
        return f"notebooks/{notebook}"

    def await_ready(self, page: Any) -> None:
        page.wait_for_selector(".jp-NotebookPanel-toolbar", timeout=300_000)
        page.wait_for_function(CONNECTED, timeout=300_000)


class Voila(Server):
    """Voila: a notebook as a dashboard, with a kernel for each page, which runs all cells before it shows anything.

    Args:
        cull: Seconds after which a kernel that no page is connected to is ended.
    """

    name = "voila"
    keys = ("ArrowRight", "ArrowLeft")

    def __init__(self, notebooks: Path, home: Path, browser: Any, cull: int = 600) -> None:
        self.cull = cull
        super().__init__(notebooks, home, browser)

    def command(self) -> list[str]:
        options = {
            "Voila.ip": "127.0.0.1",
            "Voila.port": self.port,
            "Voila.port_retries": 0,
            "Voila.token": self.token,
            "VoilaConfiguration.show_tracebacks": True,
            "MappingKernelManager.cull_idle_timeout": self.cull,
            "MappingKernelManager.cull_interval": max(1, self.cull // 4),
        }
        given = [f"--{name}={value}" for name, value in options.items()]
        # other extensions of JupyterLab, such as jupytext's, do not load in Voila and say so in the console
        given += [f"--VoilaConfiguration.extension_allowlist={name}" for name in lab.WIDGETS]
        return [sys.executable, "-m", "voila", str(self.notebooks), "--no-browser", *given]

    def address(self, notebook: str) -> str:
        return f"voila/render/{notebook}"

    def await_ready(self, page: Any) -> None:
        page.wait_for_selector("#loading", state="detached", timeout=300_000)
        page.wait_for_selector(".ee-explorer, .ee-player, .ee-stage, .ee-bet", timeout=300_000)

    def close_page(self, page: Any) -> None:
        """Leave a page, which tells the server to shut down its kernel."""
        page.goto("about:blank")
        page.context.close()


def run_all(page: Any, seconds: float = 300) -> None:
    """Run all cells and wait until each has run and the kernel is idle."""
    page.evaluate(RUN)  # which returns at once: an evaluation has no time limit of its own
    page.wait_for_function("window.ran !== null", timeout=1000 * seconds)
    assert page.evaluate("window.ran") is True, f"a cell failed: {errors(page)}"
    # by the cells' model: a cell whose source is hidden shows no number
    wanted = (
        "() => jupyterapp.shell.currentWidget.content.widgets"
        ".every(cell => cell.model.type !== 'code' || cell.model.executionCount)"
    )
    page.wait_for_function(wanted, timeout=300_000)
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', state="attached", timeout=300_000)


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
    red, stderr = (f'[data-mime-type="application/vnd.jupyter.{kind}"]' for kind in ("error", "stderr"))
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
    page.wait_for_function("() => !document.querySelector('p.ee-covered')", timeout=300_000)


def stop_work(explorer: Any) -> tuple[str, float]:
    """Press the button of long work, see its progress, stop it; return its sentence and the seconds that took.

    Work that waits for a function of the learner says at once that none is written.
    """
    run, stop = explorer.locator("button.ee-run"), explorer.locator("button.ee-cancel")
    run.click()
    unwritten = explorer.locator(".ee-error", has_text="Not written yet")
    explorer.locator(".ee-progress progress").or_(unwritten).first.wait_for(timeout=300_000)
    words = explorer.locator(".ee-sentence", has_text=re.compile("^(Stopped|Live)|Not written yet"))
    assert run.is_disabled() or words.count()  # short work is over by now
    begun = time.monotonic()
    if stop.is_enabled():
        stop.click(force=True)  # also where the work ends in this moment
    words.wait_for(timeout=300_000)
    taken = time.monotonic() - begun
    waited(run.is_enabled, 120, "button to run it again")
    return str(words.inner_text()), taken


def way(page: Any, explorer: Any, slider: int) -> int:
    """Return how many steps take a slider from where it is up to its end, and from there down to the other."""
    page.headings.pop(slider, None)
    handle = explorer.locator(".noUi-handle").nth(slider)
    now, low, high = (float(handle.get_attribute(f"aria-value{name}") or 0) for name in ("now", "min", "max"))
    return round(high - now + high - low)


def step(page: Any, explorer: Any, slider: int = 0) -> float:
    """Press an arrow key on a slider of an explorer; return the seconds until the new picture is there, decoded.

    The time is taken in the page, from the key to the picture. It fails if the picture stays as it is for 30 s, or if
    its place on the page ever falls in.
    """
    handle = explorer.locator(".noUi-handle").nth(slider)
    now, low, high = (float(handle.get_attribute(f"aria-value{name}") or 0) for name in ("now", "min", "max"))
    heading = page.headings.get(slider, 1)  # a slider goes on as it went, and turns round at its ends
    heading = page.headings[slider] = -1 if now >= high else 1 if now <= low else heading
    explorer.evaluate(ARMED)
    handle.focus()
    page.keyboard.press(page.keys[heading < 0])
    taken, lowest = explorer.evaluate("explorer => explorer.stepped")
    at = f"slider {slider}, place {handle.get_attribute('aria-valuenow')}"
    assert taken is not None, f"{at}: a step left the picture as it was for 30 s; {errors(page)}"
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
    setTimeout(() => finish(null), 30000);
  });
}"""
