// The pages of the public listener in a real browser, and its calendar in a foreign reader.
//
// Takes the binary as its first argument, and a folder for pictures as an optional second one. Exits with 0 if every
// step is as docs/pages.md says; the first one that is not ends it with a stack trace.

import { strict as assert } from "node:assert";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import * as axe from "axe-core";
import ICAL from "ical.js";
import puppeteer, { type Browser, type Page } from "puppeteer-core";
import { ask, connect } from "./client";
import { Server } from "./server";

const BROWSERS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const TITLE = "Chef's knife, 20 cm: the fourth batch";
const SHOP = "https://shop.example/knife";
/** How long a change may take to be seen. */
const SEEN_WITHIN = 60_000;

let steps = 0;
const step = (text: string) => console.log(`${String(++steps).padStart(2)}. ${text}`);

async function freePort(): Promise<string> {
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  assert(address && typeof address === "object");
  return `127.0.0.1:${address.port}`;
}

const instant = (seconds: number) => ({ seconds: Math.floor(Date.now() / 1000) + seconds, nanos: 0 });

function drop(id: string, opens: number) {
  const items = [
    { sku: "KNIFE/20cm", quantity: 2 },
    { sku: "SHEATH", quantity: 5 },
  ];
  const [time_zone, location] = ["Europe/Berlin", "Markthalle; Eisenbahnstr. 42, Berlin"];
  const labels = { "public.buy_url": SHOP };
  return { id, title: TITLE, items, time_zone, location, labels, opens_at: instant(opens), closes_at: instant(opens + 7200) };
}

/** A page that reports what it asks for and complains about. */
class Visit {
  readonly complaints: string[] = [];
  private constructor(readonly page: Page, readonly origin: string) {}

  static async of(browser: Browser, origin: string): Promise<Visit> {
    const page = await browser.newPage();
    await page.setViewport({ width: 480, height: 460 });
    const visit = new Visit(page, origin);
    page.on("pageerror", (error) => visit.complaints.push(String(error)));
    page.on("request", (request) => {
      if (!request.url().startsWith(origin)) visit.complaints.push(`asks for ${request.url()}`);
    });
    return visit;
  }

  async open(path: string) {
    const answer = await this.page.goto(this.origin + path, { waitUntil: "domcontentloaded" });
    // 304: the browser has it from the visit before.
    assert([200, 304].includes(answer?.status() ?? 0), `${path}: ${answer?.status()}`);
  }

  /** A value of the page. */
  value(expression: string): Promise<unknown> {
    return this.page.evaluate(expression);
  }

  async until(expression: string) {
    try {
      await this.page.waitForFunction(expression, { timeout: SEEN_WITHIN, polling: 50 });
    } catch (error) {
      throw new Error(`never: ${expression}\n${await this.page.content()}`, { cause: error });
    }
  }

  async close() {
    assert.deepEqual(this.complaints, []);
    await this.page.close();
  }
}

const MAIN = 'document.querySelector("main")';
const TEXT = (part: string) => `document.querySelector('[data-part="${part}"]').innerText`;
const HIDDEN = (part: string) => `document.querySelector('[data-part="${part}"]').hidden`;

/** A browser whose clock is an hour ahead. */
const AN_HOUR_OFF = `{
  const Real = Date;
  const now = () => Real.now() + 3600000;
  globalThis.Date = class extends Real {
    constructor(...given) { given.length === 0 ? super(now()) : super(...given); }
    static now() { return now(); }
  };
}`;

async function main(binary: string, pictures: string | undefined) {
  const program = BROWSERS.find((path) => existsSync(path));
  assert(program, "there is no browser");
  const open = await freePort();
  let server = await Server.start(binary, { flags: ["--public", open] });
  const origin = `http://${open}`;
  const browser = await puppeteer.launch({ executablePath: program, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const picture = async (visit: Visit, name: string) => {
    if (pictures) await visit.page.screenshot({ path: join(pictures, `${name}.png`) as `${string}.png`, optimizeForSpeed: false });
  };
  try {
    let { drops, holds } = connect(server.grpc);
    await ask(drops, "CreateDrop", { drop: drop("later", 3 * 86_400 + 4 * 3600 + 30) });

    step("the page says when it opens without a script");
    const plain = await Visit.of(browser, origin);
    await plain.page.setJavaScriptEnabled(false);
    await plain.open("/drops/later");
    const html = await plain.page.content();
    for (const part of ["3 d 4 h", 'data-state="scheduled"', "KNIFE/20cm", "available", "Markthalle"]) {
      assert(html.includes(part), `${part} is missing in\n${html}`);
    }
    await plain.close();

    step("it counts down by the server's clock though the browser's is an hour ahead, and opens without a reload");
    await ask(drops, "CreateDrop", { drop: drop("soon", 25) });
    const visit = await Visit.of(browser, origin);
    await visit.page.evaluateOnNewDocument(AN_HOUR_OFF);
    await visit.open("/drops/soon");
    assert((await visit.value("Date.now()")) as number > Date.now() + 3_500_000);
    await visit.value("globalThis.isTheSame = true");
    const left = (await visit.value(`Date.parse(${MAIN}.dataset.opensAt)`)) as number - Date.now();
    const shown = Number.parseInt((await visit.value(TEXT("countdown"))) as string, 10);
    assert(Math.abs(shown - left / 1000) < 5, `${shown} s are shown, ${left} ms are left`);
    assert.equal(await visit.value(HIDDEN("buy")), true);
    await visit.until(`${MAIN}.dataset.state === "open"`);
    const late = Date.now() - ((await visit.value(`Date.parse(${MAIN}.dataset.opensAt)`)) as number);
    assert(late < 15_000, `it opened ${late} ms late`);
    assert.equal(await visit.value("globalThis.isTheSame"), true, "it was not loaded again");
    assert.deepEqual(await visit.value(`[${TEXT("state")}, ${HIDDEN("countdown")}, ${HIDDEN("buy")}]`), ["Open now", true, false]);
    assert.equal(await visit.value("document.querySelector('[data-part=\"buy\"]').href"), SHOP);

    step("it shows another time when the opening is moved");
    const { drop: made } = await ask(drops, "GetDrop", { drop_id: "later" });
    const moved = await Visit.of(browser, origin);
    await moved.open("/drops/later");
    const before = await moved.value(TEXT("opens-time"));
    const opens_at = instant(5 * 86_400 + 3600);
    await ask(drops, "UpdateDrop", {
      drop: { ...made, opens_at, closes_at: instant(5 * 86_400 + 10_800) },
      revision: made?.revision ?? 0,
      update_mask: { paths: ["opens_at", "closes_at"] },
    });
    await moved.until(`${TEXT("opens-time")} !== ${JSON.stringify(before)}`);
    const written = await moved.value(TEXT("opens-time"));
    assert.match(String(await moved.value(TEXT("countdown"))), /^(5 d 1 h|5 d)$/);
    await moved.open("/drops/later");
    await moved.until(`${TEXT("opens-time")} === ${JSON.stringify(written)}`);
    await moved.close();

    step("it shows bands as they change");
    const reserve = (n: number, sku: string, quantity: number) => {
      const hold_id = `018f4e9a-7c1e-7b3a-9d52-6f1c0a2b3c${n.toString(16).padStart(2, "0")}`;
      return ask(holds, "Reserve", { hold_id, drop_id: "soon", customer: { id: `c${n}` }, lines: [{ sku, quantity }] });
    };
    await reserve(1, "KNIFE/20cm", 2);
    await visit.until(`document.querySelector('[data-sku="KNIFE/20cm"]').dataset.band === "sold_out"`);
    assert.equal(await visit.value(`${MAIN}.dataset.band`), "available", "there are sheaths");
    await picture(visit, "page-open");
    await reserve(2, "SHEATH", 5);
    await visit.until(`${TEXT("state")} === "Sold out"`);

    step("it survives a restart of the server");
    const [grpc, folder] = [server.grpc, server.folder];
    await server.stop();
    await sleep(500);
    server = await Server.start(binary, { flags: ["--public", open], folder, grpc });
    ({ drops, holds } = connect(server.grpc));
    await ask(drops, "PauseDrop", { drop_id: "soon" });
    await visit.until(`${MAIN}.dataset.state === "paused"`);
    assert.equal(await visit.value("globalThis.isTheSame"), true);
    // What the browser says about requests while the server was away is no complaint of the page.
    await visit.close();

    step("no page has a fault that axe-core finds, light or dark");
    for (const scheme of ["light", "dark"]) {
      for (const [path, name] of [
        ["/drops/later", "page"],
        ["/drops/later?embed=1", "embedded"],
        ["/drops/soon", "paused"],
        ["/drops/later/overlay", "overlay"],
        ["/", "list"],
      ] as const) {
        const seen = await Visit.of(browser, origin);
        await seen.page.setBypassCSP(true);
        await seen.page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
        if (name === "overlay") await seen.page.setViewport({ width: 640, height: 360 });
        await seen.open(path);
        if (name === "overlay" && pictures) await seen.value("document.body.style.background = '#557'");
        await picture(seen, `${name}-${scheme}`);
        await seen.page.evaluate(axe.source);
        const result = (await seen.value("axe.run()")) as axe.AxeResults;
        const faults = result.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(", ")}`);
        assert.deepEqual(faults, [], `${path}, ${scheme}`);
        assert(result.passes.length > 5);
        await seen.close();
      }
    }

    step("its policy lets the page's own script run and nothing else");
    const strict = await Visit.of(browser, origin);
    await strict.open("/drops/later");
    await strict.until(`/^5 d/.test(${TEXT("countdown")})`);
    const ran = await strict.value(`new Promise((done) => {
      const script = document.createElement("script");
      script.textContent = "globalThis.injected = true";
      document.addEventListener("securitypolicyviolation", () => done("refused"));
      document.body.append(script);
      setTimeout(() => done(String(globalThis.injected)), 1000);
    })`);
    assert.equal(ran, "refused");
    await strict.close();

    step("ical.js reads the calendar");
    const calendar = await (await fetch(`${origin}/calendar.ics`)).text();
    const events = new ICAL.Component(ICAL.parse(calendar)).getAllSubcomponents("vevent").map((event) => new ICAL.Event(event));
    const later = events.find((event) => event.uid === "later@default.stockade");
    assert(later, calendar);
    assert.deepEqual([later.summary, later.location, later.sequence], [TITLE, "Markthalle; Eisenbahnstr. 42, Berlin", 1]);
    assert.equal(later.duration.toSeconds(), 7200);
  } finally {
    await browser.close();
    await server.clear();
  }
}

const [binary, pictures] = process.argv.slice(2);
if (!binary) throw new Error("name the binary");
main(binary, pictures).then(
  () => console.log("all steps are as they should be"),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
