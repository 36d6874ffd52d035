import { chmod, chown, rm, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { findProgram, runCommand } from './command.ts';
import { debianRoot, programOf } from './debian.ts';
import { privateFolder } from './private-process.ts';

/** A certificate and its key, as files that a private server can read. */
export interface ServerCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority that exists for one test run and signs every request. */
export class Authority {
  /** PEM file of the authority's certificate. */
  readonly file: string;
  readonly #folder: string;
  readonly #openssl: readonly string[];

  private constructor(folder: string, openssl: readonly string[]) {
    this.#folder = folder;
    this.#openssl = openssl;
    this.file = join(folder, 'ca.pem');
  }

  static async create(): Promise<Authority> {
    const installed = await findProgram(['openssl']);
    const openssl =
      installed === null ? await programOf(await debianRoot('bookworm', ['openssl']), 'usr/bin/openssl') : [installed];
    const folder = await privateFolder();
    const authority = new Authority(folder, openssl);
    await authority.#run(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=test authority',
      '-keyout',
      join(folder, 'ca.key'),
      '-out',
      authority.file,
    );
    return authority;
  }

  /** A server certificate for this name or address, readable by a process of user and group `owner`. With 0 days it has expired. */
  async issue(name: string, owner: number, days = 2): Promise<ServerCertificate> {
    const of = (suffix: string) => join(this.#folder, `${name}-${owner}-${days}.${suffix}`);
    await this.#run(
      'req',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      of('key'),
      '-out',
      of('csr'),
    );
    await writeFile(of('ext'), `subjectAltName=${isIP(name) === 0 ? 'DNS' : 'IP'}:${name}\n`);
    await this.#run(
      'x509',
      '-req',
      '-in',
      of('csr'),
      '-CA',
      this.file,
      '-CAkey',
      join(this.#folder, 'ca.key'),
      '-CAcreateserial',
      '-days',
      String(days),
      '-extfile',
      of('ext'),
      '-out',
      of('pem'),
    );
    await chmod(of('key'), 0o600);
    if (process.getuid?.() === 0) await chown(of('key'), owner, owner);
    return { certificate: of('pem'), key: of('key') };
  }

  async dispose(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #run(...args: readonly string[]): Promise<void> {
    const [command = '', ...prefix] = this.#openssl;
    await runCommand(command, [...prefix, ...args], { env: { ...process.env, OPENSSL_CONF: '/dev/null' } });
  }
}
