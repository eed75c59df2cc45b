import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';

interface TarEntry {
  name: string;
  content?: Buffer;
  /** A symbolic link to this. */
  link?: string;
  mode?: number;
}

/** A POSIX ustar archive (pax(1)); every file belongs to root and dates from the epoch, so that the same entries give the same bytes. */
function tar(entries: readonly TarEntry[]): Buffer {
  const blocks = entries.flatMap(({ name, content = Buffer.alloc(0), link = '', mode = 0o755 }) => {
    const header = Buffer.alloc(512);
    const octal = (value: number, at: number, length: number): void => {
      header.write(`${value.toString(8).padStart(length - 1, '0')}\0`, at, 'latin1');
    };
    header.write(name, 0, 100, 'utf8');
    octal(mode, 100, 8);
    octal(0, 108, 8);
    octal(0, 116, 8);
    octal(content.length, 124, 12);
    octal(0, 136, 12);
    header.write(link !== '' ? '2' : name.endsWith('/') ? '5' : '0', 156, 'latin1');
    header.write(link, 157, 100, 'utf8');
    header.write('ustar\x0000', 257, 'latin1');
    // The sum of all bytes, its own field counted as spaces.
    header.fill(' ', 148, 156);
    const sum = header.reduce((total, byte) => total + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const applets = ['sh', 'cat', 'httpd', 'hostname', 'ip', 'ls', 'mkdir', 'nc', 'ping', 'ping6', 'sleep', 'wget'];

/** The files of a root directory with nothing but busybox. */
const rootfs = (busybox: string): TarEntry[] => [
  ...['bin/', 'dev/', 'etc/', 'proc/', 'sys/', 'tmp/'].map((name) => ({ name })),
  { name: 'bin/busybox', content: readFileSync(busybox) },
  ...applets.map((applet) => ({ name: `bin/${applet}`, link: 'busybox' })),
];

/**
 * Writes an image as an OCI archive (image-layout and image-spec 1.0) that `ctr images import` and `podman load` take. Without a command it sleeps.
 * @param name with a tag, such as `podnet.test/busybox:1`
 */
export function writeImage(file: string, name: string, busybox: string): void {
  const blobs: TarEntry[] = [];
  const blob = (content: Buffer): { digest: string; size: number } => {
    const hash = createHash('sha256').update(content).digest('hex');
    blobs.push({ name: `blobs/sha256/${hash}`, content, mode: 0o644 });
    return { digest: `sha256:${hash}`, size: content.length };
  };
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const layer = blob(tar(rootfs(busybox)));
  const config = blob(
    json({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Entrypoint: ['/bin/sleep'], Cmd: ['1000000'], Env: ['PATH=/bin'] },
      rootfs: { type: 'layers', diff_ids: [layer.digest] },
    }),
  );
  const type = (kind: string): string => `application/vnd.oci.image.${kind}`;
  const manifest = blob(
    json({
      schemaVersion: 2,
      config: { mediaType: type('config.v1+json'), ...config },
      layers: [{ mediaType: type('layer.v1.tar'), ...layer }],
    }),
  );
  const annotations = { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name };
  const manifests = [{ mediaType: type('manifest.v1+json'), ...manifest, annotations }];
  const text = (path: string, value: unknown): TarEntry => ({ name: path, content: json(value), mode: 0o644 });
  writeFileSync(
    file,
    tar([text('oci-layout', { imageLayoutVersion: '1.0.0' }), text('index.json', { schemaVersion: 2, manifests }), ...blobs]),
  );
}
