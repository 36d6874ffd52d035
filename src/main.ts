#!/usr/bin/env node
// Entry point of the installed program. It checks the Node version before it imports anything that an older Node cannot run.
const wantedMajor = 24;

if (Number(process.versions.node.split('.')[0]) < wantedMajor) {
  process.stderr.write(
    `tidegate: Node ${wantedMajor} or later is required, and this is Node ${process.versions.node}: install a newer one\n`,
  );
  process.exitCode = 1;
} else await import('./cli.ts');
