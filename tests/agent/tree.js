// RPC has no command for /tree; an extension command reaches the same function.
export default function (pi) {
  pi.registerCommand("goto", {
    description: "Move to an entry of the session tree",
    handler: async (args, ctx) => {
      const { entry, ...options } = JSON.parse(args);
      const result = await ctx.navigateTree(entry, options);
      ctx.ui.notify(JSON.stringify({ goto: entry, ...result }), "info");
    },
  });
}
