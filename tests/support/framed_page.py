"""JavaScript that reads our page inside Airflow's interface in a browser."""

from __future__ import annotations

from tests.support.chromium import Tab

OF_AIRFLOW = "An iframe which has both allow-scripts and allow-same-origin"
"""What Chromium says of how Airflow frames every plugin's page."""

FRAME = "document.querySelector('iframe').contentDocument"
FRAMED = "document.querySelector('iframe')?.contentDocument?.querySelector('h1')"
MENU_ENTRY = "[...document.querySelectorAll('a')].find(link => link.textContent.includes('Jobmon'))"

PAPER = f"getComputedStyle({FRAME}.body).backgroundColor"
INK = f"getComputedStyle({FRAME}.body).color"
AROUND = "getComputedStyle(document.documentElement).backgroundColor"


def brightness(tab: Tab, expression: str) -> float:
    """Of a colour as the page computes it, 0 is black and 255 white."""
    return tab.see(
        f"""(() => {{
            const canvas = new OffscreenCanvas(1, 1).getContext("2d");
            canvas.fillStyle = {expression};
            canvas.fillRect(0, 0, 1, 1);
            const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
            return (red + green + blue) / 3;
        }})()"""
    )


def press_menu_entry(tab: Tab) -> str:
    """Our entry in Airflow's menu; returns the heading of the page that it leads to."""
    tab.until(MENU_ENTRY)
    tab.see(f"{MENU_ENTRY}.click()")
    return tab.until(f"{FRAMED}?.textContent")


def sign_in(tab: Tab, name: str) -> None:
    """On Airflow's own login page, with the name for a password; what the browser complains of there is forgotten."""
    for field in ("username", "password"):
        tab.until(f"document.querySelector('input[name={field}]')")
        tab.see(f"document.querySelector('input[name={field}]').focus()")
        tab.type(name)
    tab.see("document.querySelector('form [type=submit]').click()")
    tab.until("!location.pathname.includes('/auth/login')")
    tab.complaints.clear()


def complaints(tab: Tab, *expected: str) -> list[str]:
    """What the browser complained of, but Airflow's own and what holds one of `expected`."""
    return [said for said in tab.complaints if not any(word in said for word in (OF_AIRFLOW, *expected))]
