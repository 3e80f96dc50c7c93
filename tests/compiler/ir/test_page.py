import re

from repository import ROOT

PAGE = (ROOT / "docs" / "ir.md").read_text()


def test_the_example_of_the_page_prints_what_the_page_shows(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    (shown,) = re.findall(r"```\n(function .*?)```", PAGE, re.DOTALL)
    exec(compile(code, "docs/ir.md", "exec"), {})
    assert capsys.readouterr().out.strip() == shown.strip()
