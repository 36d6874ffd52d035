#!/usr/bin/env node
// Where the installed program begins. It imports nothing before it has looked, so that a Node that cannot run the rest says so.
const wantedMajor = 24;

if (Number(process.versions.node.split('.')[0]) < wantedMajor) {
  process.stderr.write(
    `tidegate: it needs Node ${wantedMajor} or later, and this is Node ${process.versions.node}: install a newer one\n`,
  );
  process.exitCode = 1;
} else await import('./cli.ts');
