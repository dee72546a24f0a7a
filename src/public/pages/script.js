"use strict";
(() => {
  const main = document.querySelector("[data-drop]");
  const part = (name) => main.querySelector('[data-part="' + name + '"]');
  const path = "/v1/drops/" + encodeURIComponent(main.dataset.drop);
  // By how much the server's clock is ahead of the time since this page began, which no setting of this machine's
  // clock changes. What the server says was true when it was sent, so each is a lower bound and the greatest is best.
  let ahead = -Infinity;
  const hear = (time) => { ahead = Math.max(ahead, Date.parse(time) - performance.now()); };
  const now = () => performance.now() + ahead;
  hear(main.dataset.serverTime);

  const words = (band) => band.replaceAll("_", " ");
  const rest = (span) => {
    let left = Math.max(0, Math.ceil(span / 1000));
    const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const first = units.findIndex(([, unit]) => left >= unit);
    if (first < 0) return "0 s";
    const said = [];
    for (const [name, unit] of units.slice(first, first + 2)) {
      const count = Math.floor(left / unit);
      left -= count * unit;
      if (count > 0) said.push(count + " " + name);
    }
    return said.join(" ");
  };
  const put = (element, text) => { if (element && element.textContent !== text) element.textContent = text; };

  const bandOfAll = (items) => {
    const goods = items.filter((item) => item.kind !== "ITEM_KIND_SLOT");
    const from = goods.length > 0 ? goods : items;
    return ((from.find((item) => item.band !== "sold_out") || from[0]) || { band: "sold_out" }).band;
  };
  const STATES = { SCHEDULED: "scheduled", OPEN: "open", PAUSED: "paused", CANCELLED: "cancelled" };
  const OPENS = { scheduled: "Opens", cancelled: "Was to open" };
  const SAID = { scheduled: "Opens in", paused: "Paused", closed: "Closed", cancelled: "Cancelled" };

  // As the server writes them, in the drop's time zone.
  const showTime = (name, at, zone) => {
    const element = part(name);
    if (!element || !at || Date.parse(at) === Date.parse(element.dateTime)) return;
    element.dateTime = at;
    const instant = new Date(at);
    const written = (parts) => new Intl.DateTimeFormat("en-GB", { timeZone: zone || "UTC", ...parts }).format(instant);
    const weekday = written({ weekday: "long" });
    const day = written({ day: "numeric", month: "long", year: "numeric" });
    const time = written({ hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZoneName: "short" });
    put(element, weekday + ", " + day + ", " + time);
  };

  const money = ({ currencyCode, minorUnits }) => {
    const format = new Intl.NumberFormat("en", { style: "currency", currency: currencyCode });
    const digits = format.resolvedOptions().maximumFractionDigits;
    return (Number(minorUnits || 0) / 10 ** digits).toFixed(digits) + " " + currencyCode;
  };

  const showItems = (items) => {
    const list = part("items");
    if (!list) return;
    const known = new Map([...list.children].map((row) => [row.dataset.sku, row]));
    const named = new Set(items.map((item) => item.sku));
    for (const [sku, row] of known) if (!named.has(sku)) row.remove();
    for (const item of items) {
      let row = known.get(item.sku);
      if (!row) {
        row = document.createElement("li");
        row.dataset.sku = item.sku;
        const name = document.createElement("span");
        name.className = "name";
        name.textContent = item.place || item.sku;
        const band = document.createElement("span");
        band.className = "item-band";
        row.append(name, " ", band);
        list.append(row);
      }
      row.dataset.band = item.band;
      put(row.querySelector(".item-band"), words(item.band));
      let price = row.querySelector(".price");
      if (item.price && !price) {
        price = document.createElement("span");
        price.className = "price";
        row.querySelector(".item-band").before(price, " ");
      }
      if (price) put(price, item.price ? money(item.price) : "");
    }
  };

  const show = (status) => {
    const items = status.items || [];
    const state = STATES[status.state.replace("DROP_STATE_", "")] || "closed";
    const band = bandOfAll(items);
    const isSoldOut = band === "sold_out";
    Object.assign(main.dataset, { state, band, opensAt: status.opensAt, version: status.version });
    put(part("state"), state === "open" ? (isSoldOut ? "Sold out" : "Open now") : SAID[state]);
    put(part("opens"), OPENS[state] || "Opened");
    showTime("opens-time", status.opensAt, status.timeZone);
    showTime("closes-time", status.closesAt, status.timeZone);
    part("countdown").hidden = state !== "scheduled";
    part("band").hidden = state !== "open" || isSoldOut;
    put(part("band"), words(band));
    const buy = part("buy");
    if (buy) buy.hidden = state !== "open";
    showItems(items);
    tick();
  };

  const take = (answer) => {
    hear(answer.server_time);
    if (answer.status.version !== main.dataset.version) show(answer.status);
  };

  // Asks where the stream does not come through, and seldom where it does: a connection can die without a word.
  let asking = 0;
  let isStreamed = false;
  let wasStreamed = false;
  const SELDOM = 60;
  const askIn = (wait) => { clearTimeout(asking); asking = setTimeout(ask, wait * 1000 * (1 + Math.random())); };
  const ask = async () => {
    let after = 5;
    try {
      const answer = await fetch(path, { cache: "no-store" });
      if (answer.ok) {
        const body = await answer.json();
        take(body);
        after = parseFloat(body.poll_after);
      }
    } catch { /* the server is away: asked again below */ }
    askIn(isStreamed ? SELDOM : after);
  };

  let pause = 2;
  const listen = () => {
    const source = new EventSource(path + "/stream");
    // The first event comes at once, or something between holds it back.
    askIn(4);
    source.addEventListener("status", (event) => {
      pause = 2;
      isStreamed = wasStreamed = true;
      askIn(SELDOM);
      take(JSON.parse(event.data));
    });
    source.addEventListener("open", () => { isStreamed = wasStreamed; });
    source.addEventListener("error", () => {
      isStreamed = false;
      askIn(pause);
      if (source.readyState !== EventSource.CLOSED) return;
      source.close();
      setTimeout(listen, pause * 1000 * (1 + Math.random()));
      pause = Math.min(pause * 2, 60);
    });
  };

  let ticking = 0;
  let isLate = false;
  const tick = () => {
    clearTimeout(ticking);
    if (main.dataset.state !== "scheduled") return;
    const left = Date.parse(main.dataset.opensAt) - now();
    put(part("countdown"), left > 0 ? rest(left) : "a moment");
    if (left > 0) isLate = false;
    else if (!isLate) {
      // The stream says when it is open. Without it all ask, but not at one instant.
      isLate = true;
      askIn(1);
    }
    ticking = setTimeout(tick, left > 0 ? left % 1000 || 1000 : 1000);
  };

  tick();
  listen();
})();
