import { startSource } from './source.ts';
import { startTarget } from './target.ts';

// Runs one server of each kind until its input ends. It is a separate program so that a test can kill it.
const [source, target] = await Promise.all([startSource({ asProcess: true }), startTarget({ asProcess: true })]);
process.stdout.write(`${JSON.stringify([source.pid, target.pid])}\n`);
process.stdin.resume().once('end', () => void Promise.all([source.stop(), target.stop()]));
