"""Builds compiled code where there is a C compiler; without it, Python does the same, more slowly."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = ("importer", "parsers")
MODULES = ("parsers.counting.compiled._plain",)


class CompiledParts(BuildHookInterface[Any]):
    """Puts compiled code into a wheel, or beside its sources for an editable install."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, or warn that nothing was compiled."""
        root = Path(self.root)
        if self.target_name != "wheel":
            return
        if version == "editable":
            built = (path for package in PACKAGES for path in (root / package).rglob("_*"))
            for old in built:
                if old.suffix in (".so", ".pyd"):  # it would not fit its sources
                    old.unlink()
        self._folder = Path(tempfile.mkdtemp(prefix="pi2posthog-"))
        try:
            built = _compile(root, self._folder)
        except (Exception, SystemExit) as error:
            self.app.display_warning(f"not compiled, so previews take three times as long: {error}")
            return
        for path in built:
            inside = path.relative_to(self._folder / "lib")
            if version == "editable":
                shutil.copy2(path, root / inside)
            else:
                build_data["force_include"][str(path)] = inside.as_posix()
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the folder that it was built in."""
        folder = getattr(self, "_folder", None)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _compile(root: Path, folder: Path) -> list[Path]:
    """Compile the modules; raise whatever a compiler raises that fails or is missing."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    extensions = [
        Extension(
            module,
            [str(Path(module.replace(".", "/") + ".pyx"))],
            include_dirs=[str(root / "parsers" / "counting" / "compiled")],
        )
        for module in MODULES
    ]
    made = cythonize(extensions, build_dir=str(folder / "c"), include_path=[str(root)], quiet=True)
    command = Distribution({"ext_modules": made}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder / "lib"), str(folder / "temp")
    command.ensure_finalized()
    command.run()
    return [Path(path) for path in command.get_outputs()]
