// An extension that the story `extension` is about.
const usage = {
  input: 40, output: 4, cacheRead: 0, cacheWrite: 0, totalTokens: 44,
  cost: { input: 0.0004, output: 0.0002, cacheRead: 0, cacheWrite: 0, total: 0.0006 },
};
export default function (pi) {
  pi.registerTool({
    name: "ask_expert",
    label: "Ask the expert",
    description: "Ask another model",
    parameters: { type: "object", properties: { question: { type: "string" } }, required: ["question"] },
    execute: async () => ({ content: [{ type: "text", text: "because" }], details: {}, usage }),
  });
  pi.registerCommand("remember", {
    description: "Note something",
    handler: async (text) => {
      pi.appendEntry("memory", { text });
      pi.sendMessage({ customType: "note", content: text, display: true }, { triggerTurn: false });
    },
  });
  pi.on("before_agent_start", async () => {
    await new Promise((resolve) => setTimeout(resolve, 20));
    pi.appendEntry("prompt-seen", {});
  });
}
