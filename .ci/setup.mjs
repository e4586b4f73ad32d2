// Installs what the workspace needs, once per state of the lockfile. Runs on Node 20 and npm alone.
// Output goes to standard error, so that `npm run -s lab -- --json` prints nothing but JSON.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const { packageManager } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
const wanted = createHash("sha256")
  .update(readFileSync(`${root}pnpm-lock.yaml`))
  .digest("hex");
const stamp = `${root}node_modules/.loden-setup`;

if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
  console.error(`setup: installing with ${packageManager} (once per lockfile)`);
  const install = ["--yes", "--prefer-offline", packageManager, "install", "--frozen-lockfile"];
  const { status } = spawnSync("npx", install, { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) {
    console.error(`setup: installing failed (npx ${install.join(" ")} ended with ${status})`);
    process.exit(1);
  }
  writeFileSync(stamp, wanted);
}
