#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Opens a report.html in headless Chromium and uses it: hovers, clicks, filters, presses keys, takes screenshots.

Prints TAP, one line a check; exits 77 where there is no Chromium. Talks the DevTools protocol over pipes, so that
nothing beside Python and Chromium is needed.

    tools/check_page.py report.html [--report report.json] [--screenshots DIR] [--width 1440] [--dark]
"""
import argparse
import base64
import itertools
import json
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time


class Browser:
    def __init__(self, width, height, dark):
        program = next((p for p in ("chromium", "chromium-browser", "google-chrome") if shutil.which(p)), None)
        if not program:
            print("# no Chromium here")
            sys.exit(77)
        self.profile = tempfile.mkdtemp()
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()

        # copies above 4 first, so that the dup2 calls do not meet
        high_in, high_out = os.dup(to_browser), os.dup(from_browser)
        while high_in < 10:
            high_in = os.dup(high_in)
        while high_out < 10:
            high_out = os.dup(high_out)
        os.set_inheritable(high_in, True)
        os.set_inheritable(high_out, True)

        def place():
            os.dup2(high_in, 3)
            os.dup2(high_out, 4)

        self.process = subprocess.Popen(
            [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe", "--hide-scrollbars",
             f"--user-data-dir={self.profile}", f"--window-size={width},{height}", "about:blank"],
            close_fds=False, preexec_fn=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.numbers = itertools.count(1)
        self.buffer = b""
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def message(self):
        while b"\0" not in self.buffer:
            part = os.read(self.read, 1 << 20)
            if not part:
                raise SystemExit("the browser has gone")
            self.buffer += part
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        number = next(self.numbers)
        request = {"id": number, "method": method, "params": params}
        if hasattr(self, "session"):
            request["sessionId"] = self.session
        os.write(self.write, json.dumps(request).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == number:
                if "error" in answer:
                    raise SystemExit(f"{method}: {answer['error']}")
                return answer["result"]
            self.events.append(answer)

    def js(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise SystemExit(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression, seconds=60):
        end = time.time() + seconds
        while time.time() < end:
            if self.js(expression):
                return True
            time.sleep(0.05)
        return False

    def centre(self, selector):
        return self.js(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center', behavior: 'instant'}});"
                       " const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()")

    def mouse(self, kind, selector):
        x, y = self.centre(selector)
        button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def click(self, selector):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, selector)

    def key(self, key, code, text=None):
        for kind in ("rawKeyDown", "char", "keyUp"):
            if kind != "char" or text:
                self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **({"text": text} if kind == "char" else {}))

    def screenshot(self, path, whole=False):
        clip = {}
        if whole:
            size = self.call("Page.getLayoutMetrics")["cssContentSize"]
            clip = {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 14000), "scale": 1}}
        pathlib.Path(path).write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png", **clip)["data"]))

    def close(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)


failures = 0


def check(name, ok, shown=""):
    global failures
    failures += not ok
    print(f"{'ok' if ok else 'not ok'} - page: {name}")
    if not ok:
        print(f"# {shown}")


def saved(folder, name, seconds=10):
    """The text of a downloaded file; "" where it does not come."""
    end = time.time() + seconds
    while time.time() < end:
        path = folder / name
        if path.exists() and path.stat().st_size and not list(folder.glob("*.crdownload")):
            return path.read_text()
        time.sleep(0.05)
    return ""


def run_command(browser, program):
    """Types what the page shows as a question's command: the program answers what the page shows."""
    browser.js("document.querySelector('.item > details').open = true")
    browser.wait("document.querySelector('.item .command-one pre')", 5)
    command = browser.js("document.querySelector('.item .command-one pre').textContent")
    shown = browser.js("[...document.querySelector('.item .pair').children].pop().querySelector('p').textContent")
    env = dict(os.environ, PATH=f"{program.resolve().parent}:{os.environ['PATH']}")
    done = subprocess.run(["bash", "-c", command + " --json --quiet"], env=env, capture_output=True)
    answer = json.loads(done.stdout)["transplanted"]["text"] if done.returncode == 0 else done.stderr.decode(errors="replace")
    check("a question's command gives the response shown", answer.strip() == shown.strip(), (command, answer, shown))


def more(browser, layers, shoot):
    """Colourings, the table by language, commands, files."""
    pick = lambda name: browser.js(f"(() => {{ const s = document.getElementById('colour'); s.value = {json.dumps(name)}; s.dispatchEvent(new Event('change')); }})()")
    names = browser.js("[...document.querySelectorAll('#colour option')].map(o => o.value)")
    seen = set()
    for name in names:
        pick(name)
        time.sleep(0.2)
        seen.add(browser.js("document.getElementById('heat').getAttribute('aria-label') + document.getElementById('most').textContent"))
        shoot(f"c-{name}")
    check("colours the map by each measure", len(names) >= 3 and len(seen) == len(names), (names, seen))
    pick("gain")
    time.sleep(0.2)
    languages = browser.js("document.querySelectorAll('#language option[value^=\"l:\"]').length")
    browser.js("document.getElementById('each').open = true")
    drawn = "[...document.querySelectorAll('#maps button')].map(b => b.querySelectorAll('i').length)"
    check("has a map of each language", languages < 2 or browser.wait(f"{drawn}.length === {languages} && {drawn}.every(n => n === {layers * layers})", 5), browser.js(drawn))
    shoot("6-maps")
    if languages > 1:
        alone = browser.js("[...document.querySelector('#maps button:last-child .cells').children].map(e => e.className)")
        browser.js("document.querySelector('#maps button:last-child').click()")
        chosen = "document.getElementById('language').value"
        check("a map chooses its language, which the large map then shows", browser.wait(f"{chosen}.startsWith('l:')", 5) and browser.wait(f"[...document.querySelectorAll('#heat [role=gridcell]')].map(e => e.className.split(' ')[0]).join() === {json.dumps(','.join(alone))}", 5), alone[:8])
        browser.js("(() => { const s = document.getElementById('language'); s.value = 'all'; s.dispatchEvent(new Event('change')); })()")
        time.sleep(0.2)
    browser.js("document.querySelectorAll('.languages, .commands').forEach(e => { e.open = true; })")
    rows = browser.js("document.querySelectorAll('.languages tbody tr').length")
    scored = browser.js("document.querySelectorAll('.item .pair .right, .item .pair .wrong').length") > 0
    check("has interval and p of each language", not scored or rows > 0 and browser.js("[...document.querySelectorAll('.languages tbody tr')].every(r => / to /.test(r.cells[5].textContent) && r.cells[6].textContent !== '')"), rows)
    cell = browser.js("document.querySelector('#heat [aria-selected=true]').dataset.c")
    command = browser.js("document.querySelector('.detail > .commands pre').textContent")
    check("has the command of the configuration, layers from 0", f"--source-layers {int(cell) // layers} --target-layers {int(cell) % layers} " in command, command)
    shoot("4b-details")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        browser.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
        if scored:
            browser.js("document.querySelector('[aria-label=\"Download figure2.svg\"]').click()")
            drawing = saved(folder, "figure2.svg")
            check("saves a drawing", drawing.startswith("<?xml") and 'stroke="none"' in drawing and drawing.endswith("</svg>\n"), drawing[:80])
        browser.js("document.querySelector('[aria-label=\"Download best.csv\"]').click()")
        check("saves a table with all digits", saved(folder, "best.csv").startswith('"Task, site",vanilla,'), saved(folder, "best.csv")[:80])
        browser.js("document.getElementById('map-csv').click(); document.getElementById('map-svg').click()")
        deadline = time.time() + 10
        while time.time() < deadline and len([p for p in folder.glob("map-*") if p.suffix in (".csv", ".svg")]) < 2:
            time.sleep(0.05)
        check("saves the map", sorted(p.suffix for p in folder.glob("map-*")) == [".csv", ".svg"], list(folder.iterdir()))
    browser.js("document.querySelectorAll('.languages, .commands').forEach(e => { e.open = false; })")


EVERY_VALUE = """(async () => {
  const found = [], first = await maps.store('').json('meta');
  for (const [prefix] of first.stores) {
    const meta = await maps.store(prefix).json('meta'), groups = [];
    for (const [g, group] of meta.groups.entries()) {
      const sites = [];
      for (const s of group.sites.keys()) {
        const view = await maps.open(prefix, g, s), numbers = (id, languages) => Array.from(maps.values(view, id, languages).out, v => Number.isFinite(v) ? v : null);
        sites.push({ site: view.site.site, maps: view.site.maps.map(([id, title, unit, scale]) => ({ id, title, unit, scale, all: numbers(id, group.languages),
          languages: Object.fromEntries(group.languages.map(l => [l[0], numbers(id, [l])])) })) });
      }
      groups.push({ task: group.task, sites });
    }
    found.push(groups);
  }
  return found;
})()"""


def differing(got, wanted):
    """Where values (null: none) differ by more than the page's 24 bits explain."""
    most = max((abs(v) for v in wanted if v is not None), default=0)
    return len(got) != len(wanted) or any((a is None) != (b is None) or a is not None and abs(a - b) > 1e-5 * abs(b) + 1e-6 * most for a, b in zip(got, wanted))


def shown_wrong(label, value, title, unit):
    """Whether a cell's label does not say the value, rounded as it is shown."""
    if value is None:
        return title.lower() in label
    match = re.match(r"source \d+ \u2192 target \d+: ([+\u2212]?)([0-9.]+(?:e[+-]?\d+)?)", label)
    if not match or title.lower() not in label and title != "Gain over the untouched model" or unit not in label:
        return True
    number, digits = float(match[2]) * (-1 if match[1] == "\u2212" else 1), match[2].split("e")[0]
    wanted = value * (100 if unit in ("%", "points") else 1)
    step = 10.0 ** -len(digits.partition(".")[2]) * (10.0 ** int(match[2].split("e")[1]) if "e" in match[2] else 1)
    return abs(number - wanted) > 0.51 * step + 1e-5 * abs(wanted)


def small_maps_wrong(drawn, entry, names):
    """Whether the small maps' cells are not on one scale over all languages."""
    scale = math.log if entry["scale"] == "logarithm" else float
    values = [v for name in names for v in entry["languages"][name] if v is not None]
    if not values:
        return False
    low, high = scale(min(values)), scale(max(values))
    most = max(abs(low), abs(high))
    for cells, name in zip(drawn, names):
        for (kind, part), value in zip(cells, entry["languages"][name]):
            diverging = entry["scale"] in ("points", "signed")
            wanted = 0 if value is None else (abs(value) / most if most else 0) if diverging else (scale(value) - low) / (high - low) if high > low else 0
            if (kind == "none") != (value is None) or abs(part - wanted) > 1e-3:
                return True
    return False


def colourings(browser, report, shoot):
    """Every colouring of every site against report.json: the numbers behind the maps, what the large map says in each language, and how the small maps are drawn."""
    report = json.loads(report.read_text())
    parts = [report["store"], *report["more"], *(report[name] for name in ("tuned", "cot", "beside") if name in report)]
    wanted = [[*part["groups"], *part["unscored"]] for part in parts]
    wanted = [groups for k, groups in enumerate(wanted) if k == 0 or any(g["sites"] for g in groups)]
    found, wrong, count = browser.js(EVERY_VALUE), [], 0
    names = lambda groups: [(g["task"], s["site"], [(m["id"], m["title"], m["unit"]) for m in s["maps"]]) for g in groups for s in g["sites"]]
    check("colours each site by what report.json has", [names(g) for g in found] == [names(g) for g in wanted])
    for groups, others in zip(found, wanted):
        for g, other in zip(groups, others):
            for site, other_site in zip(g["sites"], other["sites"]):
                for entry, known in zip(site["maps"], other_site["maps"]):
                    for name, values in [("all", known["all"]), *known["languages"].items()]:
                        count += 1
                        if differing(entry["all"] if name == "all" else entry["languages"].get(name, []), values):
                            wrong.append((g["task"], site["site"], entry["id"], name))
    print(f"# {count} maps compared")
    check("has report.json's numbers in each map and language", count > 0 and not wrong, wrong[:5])

    labels = "[...document.querySelectorAll('#heat [role=gridcell]')].map(e => e.getAttribute('aria-label'))"
    small = "[...document.querySelectorAll('#maps .cells')].map(m => [...m.children].map(e => [e.className, +e.style.getPropertyValue('--g')]))"
    choose = lambda name, value: browser.js(f"(() => {{ const s = document.getElementById('{name}'); s.value = {json.dumps(value)}; s.dispatchEvent(new Event('change')); }})()")
    browser.js("document.getElementById('each').open = true")
    wrong, read = [], 0
    for g, group in enumerate(wanted[0]):
        if not group["sites"]:
            continue
        browser.js(f"document.querySelectorAll('#groups button')[{g}].click()")
        for s, site in enumerate(group["sites"]):
            browser.js(f"document.querySelectorAll('#sites button')[{s}].click()")
            languages = list(site["maps"][0]["languages"])
            ids = [m["id"] for m in site["maps"]]
            offered = browser.wait(f"document.querySelectorAll('#sites button')[{s}].getAttribute('aria-checked') === 'true' && [...document.querySelectorAll('#colour option')].map(o => o.value).join('|') === {json.dumps('|'.join(ids))}", 5)
            if not offered:
                wrong.append((group["task"], site["site"], "the colourings offered"))
                continue
            for entry, drawn in zip(site["maps"], found[0][g]["sites"][s]["maps"]):
                choose("colour", entry["id"])
                for name in ["all", *languages[:2]]:
                    choose("language", "all" if name == "all" else "l:" + name)
                    values = entry["all"] if name == "all" else entry["languages"][name]
                    bad = lambda: [text for text, value in zip(browser.js(labels), values) if shown_wrong(text, value, entry["title"], entry["unit"])]
                    end = time.time() + (3 if len(wrong) < 3 else 0)
                    while bad() and time.time() < end:
                        time.sleep(0.05)
                    read += 1
                    if bad():
                        wrong.append((group["task"], site["site"], entry["id"], name, bad()[0]))
                if len(languages) > 1 and small_maps_wrong(browser.js(small), drawn, languages):
                    wrong.append((group["task"], site["site"], entry["id"], "small maps"))
    print(f"# {read} maps read")
    check("shows report.json's numbers by each colouring, in each language and in small", read > 0 and not wrong, wrong[:5])
    shoot("14-colourings")


def compare(browser, page, first, shoot):
    """Two maps side by side and their difference, by keyboard, and from the address."""
    drawn = "document.getElementById('compare-maps').dataset.drawn"
    cells = lambda k: browser.js(f"[...document.querySelectorAll('.beside .map')[{k}].querySelectorAll('[role=gridcell]')].map(e => [e.className.replace(/ ?here/, ''), +e.style.getPropertyValue('--g'), e.getAttribute('aria-label')])")
    ends = lambda k: browser.js(f"document.querySelectorAll('.beside .legend')[{k}].textContent")
    options = lambda side, name: browser.js(f"[...document.querySelector('[aria-label=\"{side}: {name}\"]').options].map(o => o.value)")
    chosen = lambda side, name: browser.js(f"document.querySelector('[aria-label=\"{side}: {name}\"]').value")

    def choose(selector, value):
        before = browser.js(drawn)
        browser.js(f"(() => {{ const s = document.querySelector({json.dumps(selector)}); s.value = {json.dumps(value)}; s.dispatchEvent(new Event('change')); }})()")
        return browser.wait(f"{drawn} !== {json.dumps(before)}", 10)

    browser.js("document.querySelector('#compare summary').focus()")
    browser.key("Enter", 13, "\r")
    check("opens the comparison by key", browser.wait(drawn, 10), browser.js("document.getElementById('compare-open').open"))
    browser.js("document.getElementById('compare').scrollIntoView({behavior: 'instant'})")
    shoot("12-compare")
    check("compares two maps that differ in site, task or model, if there are any", options("Left", "model") + options("Left", "task") + options("Left", "site") == ["0"] * 3
          or any(chosen("Left", name) != chosen("Right", name) for name in ("model", "task", "site")))
    value = lambda label: float(re.search(r": ([+\u2212]?[0-9.]+)", label)[1].replace("\u2212", "-"))
    names = browser.js("[...document.querySelectorAll('#compare-colour option')].map(o => o.value)")
    wrong, scales = [], [(names[0], ends(0), ends(1))]
    for name in names:
        if name not in ("gain", "accuracy", "changed", "kl_untouched", "logprob_gold", "calibrated", "options_acc_norm") or not choose("#compare-colour", name):
            continue
        if browser.js("document.getElementById('compare-colour').value") != name:
            continue  # nothing is scored
        scales.append((name, ends(0), ends(1)))
        left, right, gap = cells(0), cells(1), cells(2)
        if len(gap) == len(left) == len(right):
            there = [k for k in range(len(gap)) if "nothing" not in left[k][2] + right[k][2]]
            wrong += [(name, left[k], right[k], gap[k]) for k in there if abs(value(left[k][2]) - value(right[k][2]) - value(gap[k][2])) > 0.1501]
            wrong += [] if there else [(name, "nothing is compared")]
    check("has one scale for both maps, by each measure", all(a == b != "" for _, a, b in scales), scales)
    check("the third map is the difference of the two", not wrong, wrong[:3])
    choose("#compare-colour", names[0])
    left, right = cells(0), cells(1)
    before = browser.js(drawn)
    browser.click("#compare-swap")
    browser.wait(f"{drawn} !== {json.dumps(before)}", 10)
    check("swaps the sides", (cells(1), cells(0)) == (left, right), (left[:2], cells(1)[:2]))
    browser.js("document.querySelector('.beside [role=gridcell]').focus()")
    browser.key("ArrowRight", 39)
    browser.key("ArrowDown", 40)
    said = browser.js("document.getElementById('compare-readout').textContent")
    marked = browser.js("document.querySelectorAll('.beside .here').length")
    check("moves in all maps by arrow keys", said.startswith(f"source {1 + first} \u2192 target {1 + first}: left ") and ", right " in said and marked >= 2, (said, marked))
    languages = [v for v in options("Left", "language") if v.startswith("l:")]
    choose('[aria-label="Left: language"]', languages[-1])
    address, before = browser.js("location.hash"), [cells(k) for k in range(3)]
    colour = browser.js("document.getElementById('compare-colour').value")
    check("keeps the comparison in the address", f"&compare/{colour}/{1 + first}/{1 + first}/" in address, address)
    browser.call("Page.navigate", url="about:blank")
    browser.wait("location.href === 'about:blank'", 5)
    browser.call("Page.navigate", url=page.resolve().as_uri() + address)
    ready = browser.wait(f"document.documentElement && document.documentElement.dataset.ready === 'yes' && {drawn}", 30)
    check("shows it again from the address", ready and [cells(k) for k in range(3)] == before and browser.js("document.getElementById('compare-readout').textContent").startswith(f"source {1 + first} \u2192 target {1 + first}: "), browser.js("location.hash"))
    models = options("Left", "model")
    if len(models) > 1:
        for side in ("Left", "Right"):
            choose(f'[aria-label="{side}: language"]', "all")
            choose(f'[aria-label="{side}: model"]', models[-1])
        choose('[aria-label="Left: model"]', "0")
        choose("#compare-colour", "changed")
        check("compares two models", chosen("Left", "model") == "0" and chosen("Right", "model") == models[-1] and len(cells(1)) > 0 and cells(0) != cells(1), cells(1)[:2])
        browser.js("document.getElementById('compare').scrollIntoView({behavior: 'instant'})")
        shoot("13-models")


def use(browser, page, shots, first, program, only_compare, report):
    shoot = lambda name, whole=False: shots and browser.screenshot(shots / f"{name}.png", whole)
    began = time.time()
    browser.call("Page.navigate", url=page.resolve().as_uri())
    ready = browser.wait("document.documentElement && document.documentElement.dataset.ready === 'yes'")
    print(f"# ready after {time.time() - began:.2f} s, {page.stat().st_size / 1e6:.1f} MB")
    check("unpacks its data", ready, browser.js("document.getElementById('loading').textContent"))
    if not ready:
        return
    if report:
        colourings(browser, report, shoot)
        browser.call("Page.navigate", url="about:blank")
        browser.call("Page.navigate", url=page.resolve().as_uri())
        browser.wait("document.documentElement && document.documentElement.dataset.ready === 'yes'")
    if only_compare:
        return compare(browser, page, first, shoot)
    layers = browser.js("document.querySelectorAll('#heat [role=row]').length")
    check("has a cell for each configuration", browser.js("document.querySelectorAll('#heat [role=gridcell]').length") == layers * layers)
    shoot("1-open")
    browser.mouse("mouseMoved", f"#heat [data-c='{layers + 1}']")
    tip = browser.js("document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent")
    check("says a cell's value on hover", tip.startswith(f"source {1 + first} → target {1 + first}: "), tip)
    shoot("2-hover")
    wanted = browser.js("[...document.querySelectorAll('#heat .p, #heat .n')].map(e => +e.dataset.c).pop()")
    if wanted is None:
        wanted = layers * layers - 1
    browser.click(f"#heat [data-c='{wanted}']")
    check("shows responses on click", browser.wait("document.querySelectorAll('#items .item').length > 0", 10))
    title = browser.js("document.querySelector('#detail h3').textContent")
    check("names the configuration", title == f"Source layer {wanted // layers + first} → target layer {wanted % layers + first}", title)
    scored = browser.js("document.querySelectorAll('.item .pair .right, .item .pair .wrong').length") > 0
    check("marks right and wrong, and shows gold", not scored or browser.js("[...document.querySelectorAll('.item')].every(e => e.textContent.includes('gold: not known') || e.querySelectorAll('.pair .right, .pair .wrong').length === 2 && e.textContent.includes('gold'))"))
    shoot("3-click")
    everyone = browser.js("+document.querySelector('[data-kind=all] small').textContent")
    language = browser.js("[...document.querySelectorAll('#language option')].map(o => o.value).filter(v => v.startsWith('l:')).pop()")
    browser.js(f"(() => {{ const s = document.getElementById('language'); s.value = {json.dumps(language)}; s.dispatchEvent(new Event('change')); }})()")
    only = f"[...document.querySelectorAll('.item .head > b')].every(b => b.textContent === {json.dumps(language[2:])})"
    check("filters by language", browser.wait(only + f" && +document.querySelector('[data-kind=all] small').textContent <= {everyone}", 5))
    browser.click("[data-kind=changed]")
    changed = browser.js("+document.querySelector('[data-kind=changed] small').textContent")
    check("filters changed responses", browser.wait(f"document.querySelectorAll('#items .item').length === Math.min({changed}, 40)", 5))
    shoot("4-filter")
    browser.js(f"document.querySelector(\"#heat [data-c='0']\").focus()")
    browser.key("ArrowRight", 39)
    browser.key("ArrowDown", 40)
    focused = browser.js("document.activeElement.dataset.c")
    check("moves by arrow keys", focused == str(layers + 1) or layers == 1, focused)
    browser.key("Enter", 13)
    check("chooses by key", browser.wait(f"document.querySelector('#detail h3').textContent === 'Source layer {1 + first} → target layer {1 + first}'", 5))
    check("keeps what is shown in the address", browser.js("location.hash").endswith(f"/{1 + first}/{1 + first}"), browser.js("location.hash"))
    browser.click("[data-kind=all]")
    more(browser, layers, shoot)
    if program:
        run_command(browser, program)
    compare(browser, page, first, shoot)
    before = browser.js("document.querySelector('#heat [role=gridcell]').getAttribute('aria-label')")
    sites = browser.js("document.querySelectorAll('#sites button').length")
    if sites > 1:
        browser.click("#sites button:last-child")
        check("changes the site", browser.wait("document.querySelector('#sites button:last-child').getAttribute('aria-checked') === 'true'", 5))
    tasks = browser.js("document.querySelectorAll('#groups button').length")
    if tasks > 1:
        browser.click("#groups button:last-child")
        check("changes the task", browser.wait("document.querySelector('#groups button:last-child').getAttribute('aria-checked') === 'true'", 5), before)
    shoot("5-other")
    browser.js("scrollTo(0, 0)")
    shoot("6-whole", True)
    for number, section in enumerate(("overview", "layers", "bounds", "tables", "provenance"), 7):
        browser.js(f"document.getElementById('{section}').scrollIntoView({{behavior: 'instant'}})")
        shoot(f"{number}-{section}")
    asked = [e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"]
    check("asks the network for nothing", all(u.startswith(("file:", "about:", "data:", "blob:")) for u in asked), asked)
    errors = [e for e in browser.events if e.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded") and e["params"].get("entry", {}).get("level", "error") == "error"]
    check("no errors in the console", not errors, errors[:2])
    scripts = browser.js("[...document.scripts].filter(s => !s.type).length")
    handlers = browser.js("[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => a.name === 'style' && e.id === '' && !e.closest('#heat, #maps, #compare-maps') || a.name.startsWith('on'))).length")
    title = browser.js("document.title")
    browser.js("(() => { for (const text of ['document.title = `XSS-late`']) { const s = document.createElement('script'); s.textContent = text; document.body.append(s); }"
               " const i = document.createElement('div'); i.innerHTML = '<img src=x onerror=\"document.title=`XSS-late`\">'; document.body.append(i); })()")
    time.sleep(0.2)
    check("no script but ours runs", scripts == 1 and handlers == 0 and "XSS" not in browser.js("document.title").replace(browser.js("document.querySelector('h1').textContent"), "")
          and title == browser.js("document.title"), (scripts, handlers, title, browser.js("document.title")))
    wide = browser.js("document.documentElement.scrollWidth - innerWidth")
    check("no sideways scrolling of the page", wide <= 0, wide)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--screenshots", type=pathlib.Path)
    parser.add_argument("--width", type=int, default=1440)
    parser.add_argument("--height", type=int, default=1000)
    parser.add_argument("--program", type=pathlib.Path, help="xtransplant: runs the command of a question, in the current folder")
    parser.add_argument("--one-based", action="store_true", help="the report was made with --one-based")
    parser.add_argument("--compare", action="store_true", help="only the comparison of two maps")
    parser.add_argument("--report", type=pathlib.Path, help="report.json of the same report: every colouring has its numbers")
    parser.add_argument("--dark", action="store_true")
    args = parser.parse_args()
    if args.screenshots:
        args.screenshots.mkdir(parents=True, exist_ok=True)
    browser = Browser(args.width, args.height, args.dark)
    try:
        use(browser, args.page, args.screenshots, int(args.one_based), args.program, args.compare, args.report)
    finally:
        browser.close()
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
