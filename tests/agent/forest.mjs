// Grows session trees with pi's own SessionManager, and notes at every call what pi itself would send.
// node forest.mjs <folder with node_modules> <package scope> <out folder> <trees> <entries>
// Writes <out>/<seed>/*.jsonl, and prints {"trees": [{seed, files: [{path, parent, calls, totals}]}]}.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

import { clock, dice } from "./forest.chance.mjs";

const [root, scope, out, trees, size] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(root, "node_modules", scope, path)).href);
const old = scope === "@mariozechner";
const { SessionManager, AgentSession, convertToLlm } = await load("pi-coding-agent/dist/index.js");
const { convertMessages } = await load(`pi-ai/dist/${old ? "providers" : "api"}/openai-completions.js`);
const { getCurrentTools } = old ? {} : await load("pi-ai/dist/utils/transcript.js");

const TEXTS = ["look", "two\nlines", "ünïcode 🙂", "a\u2028b", "  spaces  ", "<b>&amp;</b>", '`tick` "quote" \\n'];
const PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=";
const MODELS = [
  { provider: "north", id: "birch", api: "openai-completions", input: ["text", "image"] },
  { provider: "north", id: "alder", api: "openai-completions", input: ["text", "image"] },
  { provider: "south", id: "birch", api: "openai-completions", input: ["text", "image"] },
].map((model) => ({ ...model, reasoning: false, baseUrl: "http://127.0.0.1" }));

class Tree {
  constructor(seed, folder) {
    Object.assign(this, { seed, folder, dice: dice(seed), count: 0, model: MODELS[0], files: [] });
    // Half of the trees go without edits, three of four without compactions that pi would not make.
    this.edits = !old && seed % 2 === 0;
    this.wild = seed % 4 === 0;
  }

  open(manager, parent) {
    this.manager = manager;
    this.file = { path: manager.getSessionFile(), parent, calls: {} };
    this.files.push(this.file);
  }

  /** Words that stand nowhere else in the tree. */
  words() {
    this.count += 1;
    return `${this.dice.pick(TEXTS)} ${this.seed}.${this.count}`;
  }

  tick(least = 0) {
    clock.now += least + (this.dice.chance(0.4) ? 0 : this.dice.below(this.dice.chance(0.1) ? 60_000 : 2_000));
    return clock.now;
  }

  text() {
    return { type: "text", text: this.dice.chance(0.06) ? this.dice.pick(["", " "]) : this.words() };
  }

  image() {
    return { type: "image", data: PNG, mimeType: "image/png" };
  }

  /** What a user or an extension says. */
  said() {
    if (this.dice.chance(0.4)) return this.dice.chance(0.03) && !this.batch ? "" : this.words();
    const content = [this.text()];
    if (this.dice.chance(0.2)) content.push(this.image());
    if (this.dice.chance(0.2)) content.push(this.text());
    return this.dice.chance(0.03) && !this.batch ? [] : content;
  }

  usage() {
    const [input, output, cacheRead, cacheWrite] = [900, 300, 5000, 400].map((most) => this.dice.below(most));
    const [fresh, said, read, written] = [input * 3e-6, output * 15e-6, cacheRead * 3e-7, cacheWrite * 375e-8];
    const cost = { input: fresh, output: said, cacheRead: read, cacheWrite: written };
    const total = Object.values(cost).reduce((sum, part) => sum + part);
    const totalTokens = input + output + cacheRead + cacheWrite;
    return { input, output, cacheRead, cacheWrite, totalTokens, cost: { ...cost, total } };
  }

  someUsage() {
    return !old && this.dice.chance(0.6) ? this.usage() : undefined;
  }

  /** An entry of the active branch that fits. */
  earlier(fits = () => true) {
    const found = this.manager.getBranch().filter(fits);
    return found.length ? this.dice.pick(found).id : undefined;
  }

  prompt(timestamp = this.tick()) {
    this.manager.appendMessage({ role: "user", content: this.said(), timestamp });
  }

  queued() {
    this.tick(2);
    this.prompt(clock.now - 1 - this.dice.below(5_000));
  }

  /** What pi would send now, as the provider's own code writes it, and the tools in force. */
  sent() {
    const messages = convertToLlm(this.manager.buildSessionContext().messages);
    const shown = ({ name, description, parameters }) => ({ name, description, parameters });
    const tools = getCurrentTools?.(messages).map(shown);
    return { messages: convertMessages(this.model, { messages }, {}), tools: tools ?? [] };
  }

  answer() {
    const { dice, model } = this;
    const content = [];
    if (dice.chance(0.3)) content.push({ type: "thinking", thinking: "hm", thinkingSignature: "reasoning_content" });
    while (dice.chance(0.55)) content.push(this.text());
    const calls = dice.chance(0.5) ? 1 + dice.below(3) : 0;
    for (let i = 0; i < calls; i++) content.push(this.call());
    const failed = dice.chance(0.15) ? dice.pick(["error", "aborted"]) : undefined;
    const stopReason = failed ?? (calls ? "toolUse" : dice.pick(["stop", "stop", "length"]));
    const sent = this.sent();
    const timestamp = this.tick();
    this.tick(1);
    const id = this.manager.appendMessage({
      ...{ role: "assistant", content, api: model.api, provider: model.provider, model: model.id },
      ...{ usage: this.usage(), stopReason, timestamp },
      ...(failed === "error" && { errorMessage: this.words() }),
      ...(dice.chance(0.8) && { responseId: `resp-${this.seed}-${this.count}` }),
    });
    this.file.calls[id] = sent;
    if (dice.chance(0.85)) this.results(content.filter((block) => block.type === "toolCall"));
    else if (dice.chance(0.15)) this.compact();
  }

  call() {
    const { dice } = this;
    const given = { path: this.words(), n: dice.pick([0, -1, 1.5, 1e21]), deep: [{ a: [null, true, ""] }] };
    const args = dice.chance(0.15) ? {} : given;
    this.count += 1;
    const id = `call_${this.seed}_${this.count}`;
    return { type: "toolCall", id, name: dice.pick(["read", "bash", "grep"]), arguments: args };
  }

  /** The results of a batch; now and then one is missing, twice there or out of order. */
  results(calls) {
    const { dice } = this;
    const answered = calls.filter(() => dice.chance(0.88));
    if (dice.chance(0.2)) answered.reverse();
    if (answered.length && dice.chance(0.03)) answered.push(answered[0]);
    for (const call of answered) {
      const timestamp = this.tick();
      this.batch = true;
      if (dice.chance(0.04)) this.between();
      this.batch = false;
      this.result(call.id, call.name, timestamp);
    }
  }

  result(toolCallId, toolName, timestamp = this.tick()) {
    const { dice } = this;
    const content = dice.chance(0.08) ? [] : [this.text()];
    if (dice.chance(0.1)) content.push(this.text());
    if (dice.chance(0.12)) content.push(this.image());
    const usage = !old && dice.chance(0.1) ? { usage: this.usage() } : {};
    const details = dice.chance(0.3) ? { details: { lines: 3 } } : {};
    const message = { role: "toolResult", toolCallId, toolName, content, isError: dice.chance(0.1), timestamp };
    this.manager.appendMessage({ ...message, ...usage, ...details });
  }

  /** A result whose call was answered, lies on another branch or never was. */
  stray() {
    const blocks = this.manager.getEntries().flatMap((entry) => entry.message?.content ?? []);
    const calls = blocks.filter((block) => block.type === "toolCall");
    const call = this.dice.pick([{ id: `call_${this.words()}`, name: "gone" }, ...calls]);
    this.result(call.id, call.name);
  }

  bash() {
    const { dice } = this;
    const exclude = dice.chance(0.5) ? { excludeFromContext: dice.chance(0.6) } : {};
    const cut = dice.chance(0.2) ? { truncated: true, fullOutputPath: "/tmp/all" } : { truncated: false };
    const cancelled = { exitCode: undefined, cancelled: true };
    const end = dice.pick([{ exitCode: 0 }, { exitCode: 2 }, { exitCode: null }, cancelled]);
    const output = dice.chance(0.2) ? "" : this.words();
    const message = { role: "bashExecution", command: this.words(), output, cancelled: false, timestamp: this.tick() };
    this.manager.appendMessage({ ...message, ...end, ...cut, ...exclude });
  }

  custom() {
    const message = { role: "custom", customType: "note", content: this.said(), display: true, timestamp: this.tick() };
    this.manager.appendMessage(message);
  }

  customEntry() {
    this.tick();
    if (this.dice.chance(0.7)) this.manager.appendCustomMessageEntry("note", this.said(), this.dice.chance(0.5));
    else this.manager.appendCustomEntry("state", { on: true });
  }

  /** What changes nothing that a model sees. */
  setting() {
    const { dice, manager } = this;
    this.tick();
    const kind = dice.pick(["model", "thinking", "label", "name"]);
    if (kind === "model") {
      this.model = dice.pick(MODELS);
      manager.appendModelChange(this.model.provider, this.model.id);
    } else if (kind === "thinking") manager.appendThinkingLevelChange(dice.pick(["off", "low", "high"]));
    else if (kind === "name") manager.appendSessionInfo(dice.chance(0.2) ? "" : this.words());
    else manager.appendLabelChange(dice.pick(manager.getEntries()).id, dice.chance(0.8) ? this.words() : undefined);
  }

  /** What may come between an answer and the results of its tools. */
  between() {
    this.dice.pick([this.bash, this.custom, this.setting, this.customEntry, this.system, this.warm]).call(this);
  }

  /** The entries that a compaction may keep; pi itself never reaches back behind what the one before kept. */
  kept() {
    const branch = this.manager.getBranch();
    const before = branch.findLast((entry) => entry.type === "compaction");
    if (this.wild) return before ? branch.slice(0, branch.indexOf(before)) : branch;
    const first = branch.findIndex((entry) => entry.id === before?.firstKeptEntryId);
    return branch.slice(Math.max(first, before && first < 0 ? branch.indexOf(before) : 0));
  }

  compact() {
    this.tick(1);
    const kept = this.kept();
    const first = this.dice.chance(0.15) || !kept.length ? (old ? "none" : null) : this.dice.pick(kept).id;
    this.manager.appendCompaction(this.words(), first, this.dice.below(90_000), undefined, false, this.someUsage());
  }

  branch() {
    const { dice, manager } = this;
    this.tick(1);
    const target = dice.pick(manager.getEntries()).id;
    if (dice.chance(0.1)) manager.resetLeaf();
    else if (dice.chance(0.4)) {
      const to = dice.chance(0.1) ? null : target;
      manager.branchWithSummary(to, dice.chance(0.1) ? "" : this.words(), undefined, false, this.someUsage());
    } else manager.branch(target);
  }

  edit() {
    if (!this.edits) return this.between();
    const editable = ["user", "assistant", "toolResult"];
    const target = this.earlier((e) => e.type === "custom_message" || editable.includes(e.message?.role));
    if (!target) return;
    this.tick();
    this.manager.appendContextEdit(target, this.dice.chance(0.4) ? null : { content: this.said() });
  }

  /** Take out an entry, and bring it back as something else, with a few entries between. */
  restore() {
    if (!this.edits) return this.between();
    const target = this.earlier((e) => ["user", "assistant", "toolResult"].includes(e.message?.role));
    if (!target) return;
    this.manager.appendContextEdit(target, null);
    this.between();
    this.answer();
    const content = [{ type: "text", text: this.words() }];
    if (!this.dice.chance(0.3)) this.manager.appendContextEdit(target, { content });
  }

  system() {
    if (old) return;
    const { dice } = this;
    const parameters = { type: "object", properties: {} };
    const names = ["read", "bash", "grep", "edit"];
    const tool = () => ({ name: dice.pick(names), description: this.words(), parameters });
    const changed = ["rules", "skills", "date"].filter(() => dice.chance(0.4));
    const sections = Object.fromEntries(changed.map((name) => [name, dice.chance(0.25) ? null : this.words()]));
    const message = { role: "system", content: dice.chance(0.6) ? "" : this.said(), timestamp: this.tick() };
    if (dice.chance(0.7)) message.sections = sections;
    if (dice.chance(0.5)) message.toolsAdded = [tool(), tool()];
    if (dice.chance(0.3)) message.toolsRemoved = [{ name: tool().name }];
    if (Array.isArray(message.content)) message.content = message.content.filter((block) => block.type === "text");
    this.manager.appendMessage(message);
  }

  warm() {
    if (old) return;
    this.tick(1);
    this.manager.appendUsage("cache_warm", this.model.provider, this.model.id, this.usage());
  }

  grow(entries) {
    const weights = { prompt: 16, queued: 4, answer: 34, bash: 7, custom: 4, customEntry: 5, setting: 6 };
    Object.assign(weights, { compact: 4, branch: 8, edit: 8, restore: 3, system: 3, warm: 2, stray: 1 });
    const bag = Object.entries(weights).flatMap(([name, weight]) => Array(weight).fill(name));
    const until = this.manager.getEntries().length + entries;
    while (this.manager.getEntries().length < until) this[this.dice.pick(bag)]();
    this.prompt();
    this.answer();
  }

  /** Go on in a copy of this file, of one branch or all; what was copied belongs to the parent. */
  fork(parent) {
    this.tick(1);
    if (this.dice.chance(0.5)) this.open(SessionManager.forkFrom(parent.path, "/work/other", this.folder), parent.path);
    else {
      const manager = SessionManager.open(parent.path, this.folder);
      const answers = manager.getEntries().filter((entry) => entry.message?.role === "assistant");
      manager.createBranchedSession(this.dice.pick(answers).id);
      this.open(manager, parent.path);
    }
    this.tick(1);
    this.grow(Math.ceil(size / 4));
  }

  /** What pi says that a file cost, by the code of its /session. */
  totals(path) {
    const manager = SessionManager.open(path, this.folder);
    const messages = manager.getEntries().flatMap((entry) => entry.message ?? []);
    const session = { sessionManager: manager, state: { messages }, getContextUsage: () => undefined };
    const { tokens, cost } = AgentSession.prototype.getSessionStats.call(session);
    return { tokens, cost };
  }

  told() {
    mkdirSync(this.folder, { recursive: true });
    this.open(SessionManager.create("/work/shop", this.folder), null);
    this.prompt();
    if (!old && this.dice.chance(0.8)) this.system();
    this.grow(Number(size));
    const [first] = this.files;
    this.fork(first);
    if (this.dice.chance(0.5)) this.fork(this.dice.pick(this.files));
    // the parent goes on after it was forked
    this.manager = SessionManager.open(first.path, this.folder);
    this.file = first;
    this.tick(1);
    this.grow(5);
    return { seed: this.seed, files: this.files.map((file) => ({ ...file, totals: this.totals(file.path) })) };
  }
}

const told = [];
for (let seed = 1; seed <= Number(trees); seed++) told.push(new Tree(seed, join(out, String(seed))).told());
process.stdout.write(JSON.stringify({ trees: told }));
