"""The page and its parts as they are served."""

import re

import pytest

from atp_stream.web.board import ASSETS, add_board, read_asset

from .serving import served


async def test_given_no_token_then_the_page_and_all_that_it_names_are_served() -> None:
    async with served(add_board) as client:
        async with client.get("/") as answer:
            page = await answer.text()
            assert answer.content_type == "text/html"
        for path in re.findall(r'(?:src|href)="(/assets/[^"]+)"', page):
            async with client.get(path) as answer:
                assert answer.status == 200, path
                assert answer.content_type == ASSETS[path.removeprefix("/assets/")]


def test_given_the_scripts_then_what_they_import_is_among_them_and_nothing_is_inline() -> None:
    scripts = [name for name in ASSETS if name.endswith(".js")]
    for name in scripts:
        text = read_asset(name).decode()
        assert set(re.findall(r'from "\./([^"]+)"', text)) <= ASSETS.keys()
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|setAttribute\(\"style", text
        )
    page = read_asset("board.html").decode()
    assert not re.search(r"<script>|<style|\sstyle=|\son[a-z]+=|https?://", page)


async def test_given_an_unchanged_file_then_it_is_not_sent_again() -> None:
    async with served(add_board) as client:
        async with client.get("/assets/board.js") as answer:
            tag = answer.headers["ETag"]
        async with client.get("/assets/board.js", headers={"If-None-Match": tag}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2Fboard.py", "%2e%2e%2fserver.py", "board.js%00"])
async def test_given_another_name_then_it_is_not_found(name: str) -> None:
    async with served(add_board) as client, client.get(f"/assets/{name}") as answer:
        assert answer.status == 404
        assert (await answer.json())["error"] == "NOT_FOUND"
