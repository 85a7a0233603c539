// Lets an extension that starts a process `pi` find the agent under test, as it would find an installed one.
import { homedir } from "node:os";
import { delimiter, join } from "node:path";
export default function () {
  process.env.PATH = join(homedir(), "bin") + delimiter + process.env.PATH;
}
