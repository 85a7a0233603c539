// An extension for the corner stories: it adds to what a model is sent, and changes it.
const textOf = (message) => (message.content ?? []).map((block) => block.text ?? "").join("");
export default function (pi) {
  let omitted;
  pi.registerTool({
    name: "silent",
    label: "Silent",
    description: "Say nothing",
    parameters: { type: "object", properties: {} },
    execute: async () => ({ content: [{ type: "text", text: "" }], details: {} }),
  });
  pi.registerCommand("note", {
    description: "Send a custom message",
    handler: async (args) => {
      const { content, options } = JSON.parse(args);
      pi.sendMessage({ customType: "note", content, display: true }, options);
    },
  });
  pi.on("turn_end", async ({ message, messageEntryId, toolResultEntryIds }) => {
    const said = textOf(message);
    const edit = (targetId, text) => ({
      entries: [
        {
          type: "context_edit",
          targetId,
          replacement: text === null ? null : { content: [{ type: "text", text }] },
        },
      ],
    });
    if (said.startsWith("REPLACE")) return edit(toolResultEntryIds[0] ?? messageEntryId, "replaced");
    if (said.startsWith("OMIT")) return edit((omitted = messageEntryId), null);
    if (said.startsWith("RESTORE")) return edit(omitted, "restored");
  });
  const isHooked = (messages) => messages.some((m) => m.role === "user" && textOf(m).startsWith("HOOK"));
  pi.on("context", async ({ messages }) => {
    if (messages.length > 1 || !isHooked(messages)) return;
    const whisper = { role: "user", content: [{ type: "text", text: "whispered" }], timestamp: Date.now() };
    return { messages: [...messages, whisper] };
  });
  pi.on("before_agent_start", async ({ prompt, systemPrompt }) => {
    if (prompt.startsWith("HOOK")) return { systemPrompt: systemPrompt + "\n\nOnly this once." };
  });
}
