// Hullmark's site: theme, tips of charts, the list of findings, the CVE index, the chart of Trends.
// Everything can be read without this script. All text from outside is set as text, never as markup.
"use strict";
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const small = matchMedia("(max-width: 700px)");
  const DAY = 86400000;
  const SEVERITIES = ["CRITICAL", "HIGH", "MEDIUM", "LOW", "UNKNOWN"];
  const SHAPES = [
    "M6 0 12 6 6 12 0 6Z", "M6 .8 12 11.4H0Z", "M1 1h10v10H1Z", "M6 1a5 5 0 1 0 0 10A5 5 0 1 0 6 1Z",
    "M6 .5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11Zm0 2.3a3.2 3.2 0 1 1 0 6.4a3.2 3.2 0 1 1 0-6.4Z",
  ];
  const MONTHS = "January February March April May June July August September October November December".split(" ");

  // A browser that keeps nothing for files of this kind still shows the page; it only forgets the theme.
  const remembered = (() => {
    try { return localStorage; } catch { return null; }
  })();
  const theme = () => root.dataset.theme || (dark.matches ? "dark" : "light");
  const chosen = remembered?.getItem("hullmark-theme");
  if (chosen === "dark" || chosen === "light") root.dataset.theme = chosen;

  // Without the browser's own tables of languages: to load them takes longer than to draw the list.
  const number = (value) => String(value).replace(/\B(?=(\d{3})+$)/g, ",");
  const plural = (value, one, many = one + "s") => `${number(value)} ${value === 1 ? one : many}`;
  const day = (at) => `${Number(at.slice(8, 10))} ${MONTHS[Number(at.slice(5, 7)) - 1]} ${at.slice(0, 4)}`;
  const short = (at) => `${Number(at.slice(8, 10))} ${MONTHS[Number(at.slice(5, 7)) - 1].slice(0, 3)} ${at.slice(0, 4)}`;
  const whole = (at) => Date.parse(at.slice(0, 10) + "T00:00:00Z") / DAY;
  const titled = (word) => word[0] + word.slice(1).toLowerCase();

  // What cannot be seen, or turns the direction of reading, is written out, as on pages made without a script.
  const visible = (text) => text.replace(/[\p{Cc}\p{Cf}\p{DI}]/gu, (sign) => {
    const code = sign.codePointAt(0).toString(16);
    return code.length > 4 ? "\\U" + code.padStart(8, "0") : code.length > 2 ? "\\u" + code.padStart(4, "0") : "\\x" + code.padStart(2, "0");
  });
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, name === "title" ? visible(value) : value);
    element.append(...children.map((child) => (typeof child === "string" ? visible(child) : child)));
    return element;
  };
  const glyph = (place) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    for (const [name, value] of Object.entries({ width: 12, height: 12, viewBox: "0 0 12 12", "aria-hidden": "true" })) svg.setAttribute(name, value);
    svg.setAttribute("class", "glyph " + SEVERITIES[place].toLowerCase());
    path.setAttribute("d", SHAPES[place]);
    path.setAttribute("fill-rule", "evenodd");
    svg.append(path);
    return svg;
  };
  const severity = (place) => make("span", { class: "severity" }, glyph(place), titled(SEVERITIES[place]));

  // The part of the address behind `#` holds what is asked for, so that it works from a file too.
  const asked = () => new URLSearchParams(location.hash.slice(1));
  const address = (filters) => {
    const kept = new URLSearchParams();
    for (const [name, value] of Object.entries(filters)) if (value) kept.set(name, value);
    return "#" + kept.toString().replaceAll("+", "%20");
  };

  function startTheme() {
    const button = document.getElementById("theme");
    const show = () => button.setAttribute("aria-pressed", String(theme() === "dark"));
    button.hidden = false;
    show();
    button.addEventListener("click", () => {
      root.dataset.theme = theme() === "dark" ? "light" : "dark";
      remembered?.setItem("hullmark-theme", root.dataset.theme);
      show();
      dispatchEvent(new Event("themechange"));
    });
    dark.addEventListener("change", () => { show(); dispatchEvent(new Event("themechange")); });
  }

  // A page cannot know when it is read: this says how old it is.
  function startAge() {
    const asOf = document.body.dataset.asOf;
    if (!asOf) return;
    const days = Math.floor((Date.now() - Date.parse(asOf)) / DAY);
    const old = document.getElementById("old");
    if (days > 10) old.textContent = `Nothing was recorded for ${days} days: what is shown is of ${day(asOf)}.`;
    else if (days < -1) old.textContent = `The newest entry is of ${day(asOf)}, which lies in the future: some clock is wrong.`;
    else return;
    old.hidden = false;
  }

  function startTips() {
    for (const chart of document.querySelectorAll(".chart")) {
      const tip = make("div", { class: "tip", "aria-hidden": "true" });
      tip.hidden = true;
      chart.append(tip);
      const hide = () => { tip.hidden = true; };
      const show = (event) => {
        const target = event.target.closest?.(".hit");
        if (!target) return hide();
        tip.textContent = target.getAttribute("aria-label").replace(": ", "\n");
        tip.hidden = false;
        const at = target.getBoundingClientRect(), frame = chart.getBoundingClientRect(), width = tip.offsetWidth;
        const left = at.left - frame.left + at.width / 2 - width / 2;
        tip.style.left = Math.max(0, Math.min(frame.width - width, left)) + "px";
        tip.style.top = Math.max(0, at.top - frame.top - tip.offsetHeight - 6) + "px";
      };
      chart.addEventListener("pointermove", show);
      chart.addEventListener("focusin", show);
      chart.addEventListener("pointerleave", hide);
      chart.addEventListener("focusout", hide);
      chart.addEventListener("keydown", (event) => {
        if (event.key === "Escape") return hide();
        const step = { ArrowRight: 1, ArrowLeft: -1, Home: -1000, End: 1000 }[event.key];
        if (!step) return;
        const points = [...chart.querySelectorAll(".hit")];
        const place = points.indexOf(document.activeElement);
        const next = points[Math.max(0, Math.min(points.length - 1, place + step))];
        points.forEach((point) => point.setAttribute("tabindex", "-1"));
        next.setAttribute("tabindex", "0");
        next.focus();
        event.preventDefault();
      });
    }
  }

  // ---- Findings

  // Which rows match. Times `a..b` are after a, until b. The severity that is asked for is the one that a
  // finding had then: when it came (new, joined, born), when it went (gone, left), at a time (at), before or after
  // it was rated otherwise (rerated), or now.
  function select(data, filters) {
    const { columns: c, dictionaries: d, ratings } = data;
    const until = (at) => {
      let low = 0, high = d.time.length;
      while (low < high) { const middle = (low + high) >> 1; if (d.time[middle] <= at) low = middle + 1; else high = middle; }
      return low;
    };
    const span = (name) => {
      const text = filters[name];
      if (!text) return null;
      const [from, to] = text.split("..");
      return [until(from), until(to)];
    };
    const within = (range, place) => place >= range[0] && place < range[1];
    const spans = Object.fromEntries(["new", "joined", "born", "gone", "left", "scope", "rerated"].map((name) => [name, span(name)]));
    const at = filters.at ? until(filters.at) : -1;
    const scope = d.cause.indexOf("scope");
    const place = (list, value) => (value === undefined || value === "" ? -2 : list.indexOf(value));
    const image = place(d.image, filters.image), type = place(d.packageType, filters.type), path = place(d.path, filters.path);
    const name = place(d.package, filters.package), layer = place(d.layer, filters.layer);
    const source = place(d.package, filters.source), cve = place(d.advisory.id, filters.cve), cause = place(d.cause, filters.cause);
    const nowhere = d.path.indexOf("");
    const wanted = filters.severity ? new Set(filters.severity.split(",").map((name) => d.severity.indexOf(name))) : null;
    const [least, most] = filters.fixable ? filters.fixable.replace("+", "-99999").split("-").map(Number) : [0, 0];
    const today = whole(data.asOf || "1970-01-01");
    const left = (row) => c.until[row] >= 0 && c.endCause[row] === scope && d.retired[c.image[row]] !== "" && d.time[c.until[row]] === d.retired[c.image[row]];
    const rated = (row, before) => {
      // The severity of the last rating before a place in time; before the first one, the first.
      const list = ratings[row];
      if (!list) return c.severity[row];
      let found = list[0][1];
      for (const [time, value] of list) if (time < before) found = value;
      return found;
    };
    const first = (row) => (ratings[row] ? ratings[row][0][1] : c.severity[row]);
    // A bit for each term: each value of a dictionary is read once, and a row has what its values have together.
    const terms = (filters.q || "").toLowerCase().split(/\s+/).filter(Boolean).slice(0, 30);
    const every = 2 ** terms.length - 1;
    const bits = (list) => Int32Array.from(list, (text) => terms.reduce((found, term, n) => (text.includes(term) ? found | (1 << n) : found), 0));
    const lower = (list) => list.map((text) => text.toLowerCase());
    if (every) data.words ??= [lower(d.advisory.id.map((id, n) => `${id} ${d.advisory.title[n]}`)), lower(d.package), lower(d.version), lower(d.image), lower(d.path)];
    const [advisories, packages, versions, images, paths] = every ? data.words.map(bits) : [];
    const holds = (row) => every === (advisories[c.advisory[row]] | packages[c.package[row]] | packages[c.source[row]] | versions[c.version[row]] |
      (c.fixed[row] >= 0 ? versions[c.fixed[row]] : 0) | images[c.image[row]] | paths[c.path[row]]);
    const timed = Object.values(spans).some(Boolean);
    const rows = [];
    for (let row = 0; row < data.rows; row++) {
      let then = c.severity[row], because = c.cause[row];
      if (image !== -2 && c.image[row] !== image) continue;
      if (timed) {
        if (spans.new) { if (!within(spans.new, c.since[row]) || because === scope) continue; then = first(row); }
        if (spans.born) { if (!within(spans.born, c.since[row])) continue; then = first(row); }
        if (spans.joined) { if (!within(spans.joined, c.since[row]) || because !== scope) continue; then = first(row); }
        if (spans.gone) { if (c.until[row] < 0 || !within(spans.gone, c.until[row]) || left(row)) continue; because = c.endCause[row]; }
        if (spans.left) { if (!left(row) || !within(spans.left, c.until[row])) continue; }
        if (spans.scope) {
          const came = because === scope && within(spans.scope, c.since[row]), went = left(row) && within(spans.scope, c.until[row]);
          if (!came && !went) continue;
          if (came) then = first(row);
        }
        if (spans.rerated) {
          const list = ratings[row];
          if (!list) continue;
          const before = rated(row, Math.max(spans.rerated[0], list[0][0] + 1));
          then = rated(row, spans.rerated[1]);
          if (before === then) continue;
          if (wanted?.has(before)) then = before;
        }
      } else if (at >= 0) {
        if (c.since[row] >= at || (c.until[row] >= 0 && c.until[row] < at)) continue;
        then = rated(row, at);
      } else if (filters.state === "gone") { if (c.until[row] < 0) continue; }
      else if (filters.state === "last") { if (!left(row)) continue; }
      else if (filters.state !== "all" && c.until[row] >= 0) continue;
      if (wanted && !wanted.has(then)) continue;
      if (filters.fix && (c.fixed[row] >= 0) !== (filters.fix === "yes")) continue;
      if (filters.late && c.late[row] <= 0) continue;
      if (filters.exploited && !c.exploited[row]) continue;
      if (filters.exempt && (c.owner[row] >= 0) !== (filters.exempt === "yes")) continue;
      if (filters.placed && (c.path[row] !== nowhere) !== (filters.placed === "yes")) continue;
      if (type !== -2 && c.packageType[row] !== type) continue;
      if (path !== -2 && c.path[row] !== path) continue;
      if (source !== -2 && c.source[row] !== source) continue;
      if (name !== -2 && c.package[row] !== name) continue;
      if (layer !== -2 && c.layer[row] !== layer) continue;
      if (cve !== -2 && c.advisory[row] !== cve) continue;
      if (cause !== -2 && because !== cause) continue;
      if (filters.fixable) {
        if (c.fixableSince[row] < 0) continue;
        const days = today - whole(d.time[c.fixableSince[row]]);
        if (days < least || days > most) continue;
      }
      if (every && !holds(row)) continue;
      rows.push(row);
    }
    return filters.by === "vulnerability" ? group(data, rows) : rows;
  }

  // One row for each vulnerability of each image and source package: the worst of its findings.
  function group(data, rows) {
    const { columns: c, dictionaries: d } = data, seen = new Map(), found = [], sizes = [];
    const ids = d.advisory.id.length, types = d.packageType.length, sources = d.package.length;
    for (const row of rows) {
      const key = ((c.image[row] * ids + c.advisory[row]) * types + c.packageType[row]) * sources + c.source[row];
      const place = seen.get(key);
      if (place === undefined) {
        seen.set(key, found.length);
        found.push(row);
        sizes.push(1);
      } else {
        sizes[place]++;
        if (c.severity[row] < c.severity[found[place]]) found[place] = row;
      }
    }
    found.sizes = new Map(found.map((row, place) => [row, sizes[place]]));
    return found;
  }

  function order(data, rows, by) {
    const { columns: c, dictionaries: d } = data;
    const ranks = (list) => { const sorted = list.map((text, n) => n).sort((a, b) => (list[a] < list[b] ? -1 : 1)); const rank = []; sorted.forEach((n, place) => { rank[n] = place; }); return rank; };
    const name = by.replace("-", ""), keys = { severity: c.severity, age: c.since };
    const named = { id: [c.advisory, d.advisory.id], image: [c.image, d.image], package: [c.package, d.package], version: [c.version, d.version], fixed: [c.fixed, d.version] };
    let key, size;
    if (keys[name]) { key = keys[name]; size = (name === "age" ? d.time : d.severity).length; }
    else if (named[name]) { const [column, list] = named[name], rank = ranks(list); key = column.map((place) => (place < 0 ? 0 : rank[place] + 1)); size = list.length + 1; }
    else {
      // Worst first, then by id; what is gone comes last. The dictionary of vulnerabilities is sorted by id.
      data.rank ??= c.severity.map((rank, row) => (c.until[row] < 0 ? rank : rank + SEVERITIES.length));
      return sorted(sorted(rows, c.advisory, d.advisory.id.length), data.rank, 2 * SEVERITIES.length);
    }
    return sorted(rows, by.startsWith("-") ? key.map((place) => size - 1 - place) : key, size);
  }

  // Rows by key, a number below `size`; those of one key stay in their order.
  function sorted(rows, key, size) {
    const starts = new Int32Array(size + 1), found = new Array(rows.length);
    for (const row of rows) starts[key[row] + 1]++;
    for (let place = 0; place < size; place++) starts[place + 1] += starts[place];
    for (const row of rows) found[starts[key[row]]++] = row;
    return found;
  }

  const HEADS = [["severity", "Severity"], ["id", "Vulnerability"], ["image", "Image"], ["package", "Package"], ["version", "Installed"], ["fixed", "Fixed in"], ["age", "First seen"]];

  function startFindings() {
    const data = globalThis.hullmark?.findings;
    if (!data) return;
    const { columns: c, dictionaries: d } = data;
    const form = document.getElementById("filters"), list = document.getElementById("list");
    const counted = document.getElementById("count"), told = document.getElementById("chosen");
    const table = make("table"), body = make("tbody"), pad = make("div"), head = make("tr");
    let filters = {}, rows = [], drawn = [-1, -1];
    for (const [name, label] of HEADS) {
      const button = make("button", { type: "button" }, label);
      button.addEventListener("click", () => change({ ...filters, sort: filters.sort === name ? "-" + name : name }));
      head.append(make("th", { scope: "col", class: "c-" + name, "data-name": name }, button));
    }
    table.append(make("thead", {}, head), body);
    pad.append(table);
    list.append(pad);
    document.getElementById("browser").hidden = false;

    const height = () => (small.matches ? 104 : 54);
    const cut = (text, extra = "") => make("span", { class: "cut" + extra, title: text }, text);
    let sized = new Map();
    const line = (row, place) => {
      const gone = c.until[row] >= 0, name = d.advisory.id[c.advisory[row]], same = sized.get(row);
      const seen = d.time[c.since[row]], path = d.path[c.path[row]];
      const when = gone ? `gone ${day(d.time[c.until[row]])}` : c.late[row] ? plural(c.late[row], "day") + " late" : plural(whole(data.asOf) - whole(seen), "day");
      const tr = make("tr", { "aria-rowindex": place + 2 });
      tr.append(
        make("td", { class: "c-severity" }, severity(c.severity[row])),
        make("th", { scope: "row", class: "c-id" }, make("span", { class: "cut" }, make("a", { href: `cve.html${address({ id: name })}` }, name), ...(c.exploited[row] ? [" ", make("span", { class: "tag bad" }, "exploited")] : [])), cut(d.advisory.title[c.advisory[row]], " quiet")),
        make("td", { class: "c-image" }, make("span", { class: "cut" }, make("a", { href: `images/${encodeURIComponent(d.image[c.image[row]])}.html` }, d.image[c.image[row]]))),
        make("td", { class: "c-package" }, cut(d.package[c.package[row]] + (same > 1 ? ` and ${same - 1} more` : "")), ...(path ? [cut(path, " quiet")] : [])),
        make("td", { class: "c-version" }, cut(d.version[c.version[row]])),
        make("td", { class: "c-fixed" }, c.fixed[row] >= 0 ? cut(d.version[c.fixed[row]]) : cut("none yet", " quiet"), ...(c.owner[row] >= 0 ? [cut("accepted by " + d.owner[c.owner[row]], " quiet")] : [])),
        make("td", { class: "c-age" }, cut(short(seen)), cut(when, c.late[row] && !gone ? " bad-text" : " quiet")),
      );
      return tr;
    };
    const draw = (force) => {
      const size = height(), view = Math.ceil(list.clientHeight / size);
      const start = Math.max(0, Math.min(rows.length - view, Math.floor(list.scrollTop / size)) - 6), end = Math.min(rows.length, start + view + 14);
      if (!force && start === drawn[0] && end === drawn[1]) return;
      drawn = [start, end];
      const lines = [];
      for (let place = start; place < end; place++) lines.push(line(rows[place], place));
      body.replaceChildren(...lines);
      pad.style.paddingTop = start * size + "px";
      pad.style.paddingBottom = (rows.length - end) * size + "px";
    };
    const explain = () => {
      const parts = [];
      const between = (name, verb) => { if (filters[name]) { const [from, to] = filters[name].split(".."); parts.push(`${verb} ${from ? `after ${day(from)} and ` : ""}until ${day(to)}`); } };
      between("new", "introduced"); between("born", "first seen"); between("joined", "joined the scope"); between("gone", "resolved");
      between("left", "left with a retired image"); between("scope", "joined or left"); between("rerated", "rated otherwise");
      if (filters.at) parts.push(`open on ${day(filters.at)}`);
      if (filters.cause) parts.push(`cause: ${filters.cause}`);
      if (filters.fixable) parts.push(`could be fixed for ${filters.fixable} days`);
      if (filters.source) parts.push(`source package ${filters.source}`);
      if (filters.package) parts.push(`package ${filters.package}`);
      if (filters.layer) parts.push(`layer ${filters.layer.slice(0, 19)}…`);
      if (filters.type) parts.push(`type ${filters.type}`);
      if (filters.path) parts.push(`in ${filters.path}`);
      if (filters.cve) parts.push(filters.cve);
      if (filters.exploited) parts.push("known to be exploited");
      if (filters.state === "last") parts.push("as last scanned");
      return parts.join("; ");
    };
    const show = () => {
      const found = select(data, filters);
      sized = found.sizes || new Map();
      rows = order(data, found, filters.sort || "");
      const what = filters.by === "vulnerability" ? plural(rows.length, "vulnerability", "vulnerabilities") : plural(rows.length, "finding");
      counted.textContent = what;
      counted.dataset.count = rows.length;
      told.textContent = explain();
      table.setAttribute("aria-rowcount", rows.length + 1);
      for (const th of head.children) {
        const up = filters.sort === th.dataset.name, down = filters.sort === "-" + th.dataset.name;
        if (up || down) th.setAttribute("aria-sort", up ? "ascending" : "descending"); else th.removeAttribute("aria-sort");
      }
      list.scrollTop = 0;
      draw(true);
    };
    const fill = () => {
      for (const element of form.elements) {
        if (element.name === "severity") element.checked = (filters.severity || "").split(",").includes(element.value);
        else if (element.name && element !== document.activeElement) element.value = filters[element.name] || "";
      }
    };
    const change = (wanted) => { history.replaceState(null, "", address(wanted) === "#" ? location.pathname + location.search : address(wanted)); read(); };
    const read = () => { filters = Object.fromEntries(asked()); fill(); show(); };
    const collect = () => {
      const wanted = { ...filters };
      for (const element of form.elements) if (element.name && element.name !== "severity") wanted[element.name] = element.value;
      wanted.severity = [...form.elements].filter((element) => element.name === "severity" && element.checked).map((element) => element.value).join(",");
      change(wanted);
    };
    form.addEventListener("input", collect);
    form.addEventListener("submit", (event) => event.preventDefault());
    document.getElementById("reset").addEventListener("click", () => change({}));
    addEventListener("hashchange", read);
    addEventListener("resize", () => draw(true));
    list.addEventListener("scroll", () => draw(false), { passive: true });
    read();
    globalThis.hullmark.count = (text) => select(data, Object.fromEntries(new URLSearchParams(text))).length;
  }

  // ---- CVE

  function startCve() {
    const data = globalThis.hullmark?.cves;
    if (!data) return;
    const { columns: c, dictionaries: d } = data;
    const form = document.getElementById("ask"), answer = document.getElementById("answer"), out = document.getElementById("affected");
    const rowsOf = new Map();
    for (let row = 0; row < data.rows; row++) {
      if (!rowsOf.has(c.advisory[row])) rowsOf.set(c.advisory[row], []);
      rowsOf.get(c.advisory[row]).push(row);
    }
    document.getElementById("cve").hidden = false;
    const block = (place) => {
      const rows = rowsOf.get(place), url = d.advisory.url[place], name = d.advisory.id[place];
      const open = rows.filter((row) => c.until[row] < 0);
      const body = make("tbody");
      for (const row of [...open, ...rows.filter((row) => c.until[row] >= 0)]) {
        const image = d.image[c.image[row]], until = c.until[row];
        body.append(make("tr", {},
          make("th", { scope: "row" }, make("a", { href: `images/${encodeURIComponent(image)}.html` }, image)),
          make("td", {}, severity(c.severity[row])),
          make("td", {}, d.packages[c.packages[row]], make("span", { class: "under" }, c.fixed[row] < 0 ? "no fix yet" : "fixed in " + d.fixed[c.fixed[row]])),
          make("td", {}, day(d.time[c.since[row]])),
          make("td", {}, until < 0 ? make("span", { class: "tag bad" }, "open") : day(d.time[until])),
          make("td", { class: "num" }, c.open[row] ? make("a", { class: "n", href: `findings.html${address({ image, cve: name })}`, "data-count": c.open[row] }, number(c.open[row])) : "0")));
      }
      const heads = ["Image", "Severity", "Package", "Since", "Until"].map((text) => make("th", { scope: "col" }, text));
      const head = make("header", {}, make("h2", {}, name), make("p", {}, `${plural(open.length, "image")} affected now, ${rows.length - open.length} before`));
      const link = url ? [make("p", { class: "note" }, make("a", { href: url, rel: "noreferrer noopener" }, "The advisory"), " (leaves this site)")] : [];
      return make("section", { class: "panel affected" }, head, make("p", { class: "lead" }, d.advisory.title[place]),
        make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `Images with ${name}` },
          make("table", {}, make("thead", {}, make("tr", {}, ...heads, make("th", { scope: "col", class: "num" }, "Open"))), body)), ...link);
    };
    const show = () => {
      const text = (asked().get("id") || "").trim(), wanted = text.toLowerCase();
      if (document.activeElement !== form.elements.id) form.elements.id.value = text;
      const all = [...rowsOf.keys()], exact = all.filter((place) => d.advisory.id[place].toLowerCase() === wanted);
      const open = (place) => rowsOf.get(place).filter((row) => c.until[row] < 0).length;
      const found = exact.length ? exact : wanted ? all.filter((place) => d.advisory.id[place].toLowerCase().includes(wanted)) : all;
      const ranked = [...found].sort((a, b) => open(b) - open(a) || c.severity[rowsOf.get(a)[0]] - c.severity[rowsOf.get(b)[0]] || a - b);
      if (exact.length) answer.textContent = open(exact[0]) ? `Yes: ${plural(open(exact[0]), "image")} affected now.` : "Not any more: no image has it now.";
      else if (wanted && !found.length) answer.textContent = `No: ${text} was never seen in a scan of these images. The newest entry is of ${day(data.asOf)}.`;
      else answer.textContent = wanted ? plural(found.length, "vulnerability", "vulnerabilities") + " with this in the name" : "Those in the most images:";
      const shown = ranked.slice(0, wanted ? 25 : 8);
      out.replaceChildren(...shown.map(block));
      if (ranked.length > shown.length && wanted) out.append(make("p", { class: "note" }, `and ${number(ranked.length - shown.length)} more: write more of the name`));
    };
    form.addEventListener("input", () => { history.replaceState(null, "", address({ id: form.elements.id.value })); show(); });
    form.addEventListener("submit", (event) => event.preventDefault());
    addEventListener("hashchange", show);
    show();
  }

  // ---- Trends

  function startTrends() {
    const summary = globalThis.hullmark?.summary, canvas = document.getElementById("chart");
    if (!summary || !canvas || !globalThis.Chart) return;
    const points = [...summary.trend].sort((a, b) => (a.date < b.date ? -1 : 1));
    const colour = (name) => getComputedStyle(root).getPropertyValue("--" + name).trim();
    const shapes = { critical: "rectRot", high: "triangle", medium: "rect" };
    const sets = Object.keys(shapes).map((name) => ({
      label: titled(name.toUpperCase()), name, pointStyle: shapes[name], pointRadius: 4, pointHoverRadius: 6, borderWidth: 2, tension: 0,
      data: points.map((point) => ({ x: Date.parse(point.date), y: point[name] })),
    }));
    Chart.defaults.font.family = "Inter, system-ui, sans-serif";
    const paint = (chart) => {
      for (const set of chart.data.datasets) {
        set.borderColor = colour(set.name);
        set.backgroundColor = colour(set.name);
        set.pointBackgroundColor = points.map((point) => (point.partial ? colour("panel") : colour(set.name)));
      }
      for (const axis of Object.values(chart.options.scales)) { axis.grid.color = colour("line"); axis.ticks.color = colour("quiet"); }
      chart.options.plugins.legend.labels.color = colour("ink");
    };
    const chart = new Chart(canvas, {
      type: "line",
      data: { datasets: sets },
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, interaction: { mode: "index", intersect: false },
        scales: {
          x: { type: "linear", grid: {}, min: Date.parse(points[0]?.date), max: Date.parse(points.at(-1)?.date), afterBuildTicks: (axis) => { const step = Math.max(1, Math.ceil(points.length / (canvas.clientWidth < 500 ? 4 : 8))); axis.ticks = points.filter((_, n) => (points.length - 1 - n) % step === 0).map((point) => ({ value: Date.parse(point.date) })); },
            ticks: { maxRotation: 0, autoSkipPadding: 12, callback: (value) => { const date = new Date(value).toISOString(); return `${Number(date.slice(8, 10))} ${MONTHS[Number(date.slice(5, 7)) - 1].slice(0, 3)}`; } } },
          y: { beginAtZero: true, grid: {}, ticks: { precision: 0 } },
        },
        plugins: {
          legend: { labels: { usePointStyle: true } },
          tooltip: { callbacks: { title: (items) => day(new Date(items[0].parsed.x).toISOString()) + (points[items[0].dataIndex].partial ? " (partial)" : "") } },
        },
      },
    });
    paint(chart);
    chart.update();
    addEventListener("themechange", () => { paint(chart); chart.update(); });
  }

  addEventListener("DOMContentLoaded", () => {
    startTheme();
    startAge();
    startTips();
    ({ findings: startFindings, cve: startCve, trends: startTrends })[document.body.dataset.page]?.();
  });
})();
