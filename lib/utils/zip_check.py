"""Whether a zip archive, such as a checkpoint of PyTorch, is still what was written.

    require_whole_zip("MSTGT_ep0012.pth.tar")

PyTorch writes a CRC-32 with every tensor and does not look at it when it reads: a bit that has flipped on the disk
would become a weight.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from pathlib import Path

from lib.utils.errors import UserError

_CHUNK = 1 << 20


def require_whole_zip(path: str | Path) -> None:
    """Raises :class:`UserError` naming ``path`` where its contents and their checksums do not fit.

    A file that is no zip archive at all is left to whoever reads it.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                with archive.open(info) as member:
                    while member.read(_CHUNK):
                        pass
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, OSError, EOFError, ValueError, OverflowError,
            NotImplementedError, RuntimeError) as error:  # what the archive's own tables make zipfile raise, damaged
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} is damaged ({reason.rstrip('.')}): make or fetch it again") from error
