import { execFile, execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const POSTFIX = '/usr/sbin/postfix';
const FIXTURES = join(__dirname, '..', 'fixtures', 'tls');
/** "nobody": owns the mail that is delivered. */
const NOBODY = 65_534;
const run = promisify(execFile);

/** Why a Postfix of our own cannot be started here; null = it can. */
export function postfixMissing(): string | null {
  if (!existsSync(POSTFIX)) return 'Postfix is not installed (Debian: apt-get install postfix)';
  return process.getuid?.() === 0 ? null : 'Postfix needs root to start';
}

/** A real Postfix with a configuration of its own, for the mailboxes of contacts.example, on loopback only. */
export class Postfix {
  private constructor(
    private readonly folder: string,
    readonly port: number,
  ) {}

  static async start(mailboxes: string[]): Promise<Postfix> {
    const folder = mkdtempSync(join(tmpdir(), 'sally-postfix-'));
    const port = await freePort();
    chmodSync(folder, 0o755);
    for (const name of ['etc', 'spool', 'data', 'mail']) mkdirSync(join(folder, name));
    chownSync(join(folder, 'mail'), NOBODY, NOBODY);
    chownSync(join(folder, 'data'), Number(execFileSync('id', ['-u', 'postfix']).toString()), 0);
    const maps = mailboxes.map((name) => `{${name}@contacts.example = ${name}/}`).join(', ');
    writeFileSync(
      join(folder, 'etc', 'main.cf'),
      [
        'compatibility_level = 3.6',
        `queue_directory = ${folder}/spool`,
        `data_directory = ${folder}/data`,
        'mail_owner = postfix',
        'setgid_group = postdrop',
        'myhostname = mail.contacts.example',
        'mydestination =',
        'alias_maps =',
        'inet_interfaces = 127.0.0.1',
        'inet_protocols = ipv4',
        `maillog_file = ${folder}/log`,
        `maillog_file_prefixes = ${tmpdir()}`,
        'smtpd_relay_restrictions = reject_unauth_destination',
        'virtual_mailbox_domains = contacts.example',
        `virtual_mailbox_base = ${folder}/mail`,
        `virtual_mailbox_maps = inline:{ ${maps} }`,
        `virtual_uid_maps = static:${NOBODY}`,
        `virtual_gid_maps = static:${NOBODY}`,
        `smtpd_tls_cert_file = ${FIXTURES}/localhost.crt`,
        `smtpd_tls_key_file = ${FIXTURES}/localhost.key`,
        'smtpd_tls_security_level = may',
        'message_size_limit = 100000',
        'smtpd_client_connection_count_limit = 0',
        '',
      ].join('\n'),
    );
    const service = (name: string, type: string, rest: string) => `${name} ${type} ${rest}`;
    writeFileSync(
      join(folder, 'etc', 'master.cf'),
      [
        service(`127.0.0.1:${port}`, 'inet', 'n - n - - smtpd'),
        service('postlog', 'unix-dgram', 'n - n - 1 postlogd'),
        service('cleanup', 'unix', 'n - n - 0 cleanup'),
        service('qmgr', 'unix', 'n - n 300 1 qmgr'),
        service('tlsmgr', 'unix', '- - n 1000? 1 tlsmgr'),
        service('rewrite', 'unix', '- - n - - trivial-rewrite'),
        service('bounce', 'unix', '- - n - 0 bounce'),
        service('defer', 'unix', '- - n - 0 bounce'),
        service('trace', 'unix', '- - n - 0 bounce'),
        service('error', 'unix', '- - n - - error'),
        service('retry', 'unix', '- - n - - error'),
        service('proxymap', 'unix', '- - n - - proxymap'),
        service('anvil', 'unix', '- - n - 1 anvil'),
        service('virtual', 'unix', '- n n - - virtual'),
        '',
      ].join('\n'),
    );
    await run(POSTFIX, ['-c', join(folder, 'etc'), 'start']);
    return new Postfix(folder, port);
  }

  /** Messages in a mailbox, in the form that they were delivered in, with LF line ends. */
  delivered(mailbox: string): Buffer[] {
    const folder = join(this.folder, 'mail', mailbox, 'new');
    return existsSync(folder) ? readdirSync(folder).map((name) => readFileSync(join(folder, name))) : [];
  }

  async stop(): Promise<void> {
    await run(POSTFIX, ['-c', join(this.folder, 'etc'), 'stop']);
    rmSync(this.folder, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address ? address.port : 0;
}
