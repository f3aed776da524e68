"""A hand-written PDF of one page of text, which is enough for the download of an invoice."""

from collections.abc import Iterable

_PAGE = (
    b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>"
)
_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>"


def text_page(lines: Iterable[str]) -> bytes:
    """Return the lines as one A4 page in Courier. Characters that the font's encoding lacks become question marks."""
    shown = b" T*\n".join(b"(" + _escaped(line) + b") Tj" for line in lines)
    content = b"BT /F1 9 Tf 12 TL 40 800 Td\n" + shown + b"\nET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        _PAGE,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        _FONT,
    ]
    return _file(objects)


def _escaped(line: str) -> bytes:
    for sign in ("\\", "(", ")"):
        line = line.replace(sign, f"\\{sign}")
    return line.encode("cp1252", errors="replace")


def _file(objects: list[bytes]) -> bytes:
    """Return the file, with the objects and the table of their offsets."""
    written = b"%PDF-1.4\n"
    table = b"0000000000 65535 f \n"
    for number, obj in enumerate(objects, start=1):
        table += b"%010d 00000 n \n" % len(written)
        written += b"%d 0 obj\n%s\nendobj\n" % (number, obj)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(written))
    return written + b"xref\n0 %d\n" % size + table + trailer
