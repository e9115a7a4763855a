"""Write CITATION.cff, codemeta.json and .zenodo.json from pyproject.toml, which alone says what they say.

The version in the package, and the address of the repository in the pages that name it, are brought up to date too: to
move or to release, change pyproject.toml and run this.

python docs/metadata.py            # writes them
python docs/metadata.py --check    # says whether they are as they would be written
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# where the address of the repository stands, and the version after it or in the package
PAGES = ("README.md", "SECURITY.md", "docs/site/start.md", "lessons/instructors/before_class.md")
NAMING = (*PAGES, "entropic_edu/__init__.py")
LICENCES = {"code": "https://spdx.org/licenses/MIT", "lessons": "https://creativecommons.org/licenses/by/4.0/"}


def source(root: Path = ROOT) -> dict[str, Any]:
    """Return what pyproject.toml says of the project, and of what it teaches."""
    known = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    return known["project"] | {"teaching": known["tool"]["entropic-edu"]}


def citation(project: dict[str, Any]) -> str:
    """Return CITATION.cff."""
    teaching, paper = project["teaching"], project["teaching"]["paper"]
    lines = ["cff-version: 1.2.0"]
    lines += [
        "message: If you use entropic_edu, please cite it and the paper whose effect it teaches.",
        "type: software",
    ]
    lines += [f"title: {json.dumps(teaching['title'])}", f"abstract: {json.dumps(teaching['abstract'])}"]
    lines += [f"version: {project['version']}", f"license: {project['license']}"]
    lines += [f"repository-code: {project['urls']['Repository']}", "authors:"]
    lines += [f"  - name: {author['name']}" for author in project["authors"]]
    lines += ["keywords:", *(f"  - {word}" for word in project["keywords"])]
    lines += ["references:", "  - type: article", f"    title: {paper['title']}", "    authors:"]
    lines += [f"      - family-names: {name}" for name in paper["authors"]]
    lines += [f"    year: {paper['year']}", "    identifiers:", "      - type: other"]
    lines += [f'        value: "arXiv:{paper["arxiv"]}"', f"    url: https://arxiv.org/abs/{paper['arxiv']}"]
    return "\n".join(lines) + "\n"


def code(project: dict[str, Any]) -> dict[str, Any]:
    """Return the package as schema.org's SoftwareSourceCode, which codemeta.json is too."""
    return {
        "@context": "https://w3id.org/codemeta/3.0",
        "@type": "SoftwareSourceCode",
        "name": project["name"],
        "description": project["teaching"]["abstract"],
        "version": project["version"],
        "license": LICENCES["code"],
        "codeRepository": project["urls"]["Repository"],
        "programmingLanguage": "Python",
        "runtimePlatform": f"Python {project['requires-python']}",
        "softwareRequirements": project["dependencies"],
        "keywords": project["keywords"],
        "author": _authors(project),
        "referencePublication": _paper(project),
    }


def resource(project: dict[str, Any], title: str, description: str, minutes: int | None = None) -> dict[str, Any]:
    """Return a lesson, or with no minutes the course, as schema.org's LearningResource."""
    teaching = project["teaching"]
    length = f"PT{teaching['hours']}H" if minutes is None else f"PT{minutes}M"
    return {
        "@context": "https://schema.org",
        "@type": "LearningResource",
        "name": title,
        "description": description,
        "inLanguage": "en",
        "learningResourceType": "course" if minutes is None else "interactive notebook",
        "educationalLevel": teaching["level"],
        "competencyRequired": teaching["prior"],
        "teaches": teaching["teaches"],
        "timeRequired": length,
        "isAccessibleForFree": True,
        "license": LICENCES["lessons"],
        "keywords": project["keywords"],
        "author": _authors(project),
        "isBasedOn": _paper(project),
        "version": project["version"],
    }


def zenodo(project: dict[str, Any]) -> dict[str, Any]:
    """Return .zenodo.json: with it a release that is archived gets its entry by itself."""
    return {
        "title": project["teaching"]["title"],
        "description": project["teaching"]["abstract"],
        "upload_type": "software",
        "version": project["version"],
        "license": project["license"],
        "keywords": project["keywords"],
        "creators": [{"name": author["name"]} for author in project["authors"]],
        "related_identifiers": [
            {"identifier": f"arXiv:{project['teaching']['paper']['arxiv']}", "relation": "isDocumentedBy"},
        ],
    }


def _authors(project: dict[str, Any]) -> list[dict[str, str]]:
    return [{"@type": "Organization", "name": author["name"]} for author in project["authors"]]


def _paper(project: dict[str, Any]) -> dict[str, Any]:
    paper = project["teaching"]["paper"]
    authors = [{"@type": "Person", "familyName": name} for name in paper["authors"]]
    address = f"https://arxiv.org/abs/{paper['arxiv']}"
    return {"@type": "ScholarlyArticle", "name": paper["title"], "author": authors, "url": address}


def files(root: Path = ROOT) -> dict[str, str]:
    """Return the files by name, as they are to be."""
    project = source(root)
    plain = {"codemeta.json": code(project), ".zenodo.json": zenodo(project)}
    written = {name: json.dumps(value, indent=2, ensure_ascii=False) + "\n" for name, value in plain.items()}
    named = {name: _brought(root / name, project) for name in NAMING if (root / name).is_file()}
    return {"CITATION.cff": citation(project)} | written | named


def _brought(file: Path, project: dict[str, Any]) -> str:
    """Return a file with the repository's address, and the version, of pyproject.toml."""
    address, version = project["urls"]["Repository"], project["version"]
    words = re.sub(r"https://github\.com/[\w-]+/entropic_edu\b", address, file.read_text("utf-8"))
    words = re.sub(rf"(?<={re.escape(address)}@)v[\w.]+(?=\")", f"v{version}", words)
    return re.sub(r'^__version__ = ".*"$', f'__version__ = "{version}"', words, flags=re.MULTILINE)


def main() -> int:
    """Write the files, or with ``--check`` say which are not as they would be written."""
    stale = {name: text for name, text in files().items() if not _same(ROOT / name, text)}
    if "--check" in sys.argv[1:]:
        print("\n".join(f"{name} is not what docs/metadata.py writes; run it." for name in stale), end="")
        return int(bool(stale))
    for name, text in stale.items():
        (ROOT / name).write_text(text, "utf-8")
    return 0


def _same(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text("utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
