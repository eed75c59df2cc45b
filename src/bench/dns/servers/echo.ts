import { writeFileSync } from 'node:fs';
import { arm64 } from '../../../cni/executable/arm64.ts';
import { Assembler } from '../../../cni/executable/assembler.ts';
import { elf } from '../../../cni/executable/elf.ts';
import { architectureOf } from '../../../cni/executable/emit.ts';
import { x64 } from '../../../cni/executable/x64.ts';
import { sockaddr } from '../../../kernel/sockaddr.ts';
import { IpAddr } from '../../../net/ip.ts';
import { kindNames } from '../questions.ts';
import { type Place, Server } from './server.ts';

const [bufferBytes, nameAt, lengthAt] = [2048, 2048, 2064];

/** Sends each question back as its own answer: what any server on one socket can reach at most. A static program of a dozen instructions. */
export function startEcho(place: Place, port: number): Server {
  const path = `${place.directory}/echo`;
  writeFileSync(path, echoProgram(port), { mode: 0o755 });
  return new Server(place, { id: 'echo', title: 'echo: a loop of recvfrom and sendto', port, kinds: kindNames, judged: false }, [path]);
}

function echoProgram(port: number): Buffer {
  const code = new Assembler();
  const target = { x64, arm64 }[architectureOf(process.arch)](code);
  const { constant, address, move, add, compare, jump, systemCall, store8, store32 } = target;
  // s0: the socket; s1: the buffer, with struct sockaddr_in and its length behind; s2: that length's address
  add('stack', -4096);
  move('s1', 'stack');
  move('s2', 's1');
  add('s2', lengthAt);
  constant('a0', 2); // AF_INET
  constant('a1', 2); // SOCK_DGRAM
  constant('a2', 0);
  systemCall('socket');
  move('s0', 'result');
  move('a0', 's0');
  constant('a1', 1); // SOL_SOCKET
  constant('a2', 33); // SO_RCVBUFFORCE
  address('a3', 'receive-buffer');
  constant('a4', 4);
  systemCall('setsockopt');
  move('a0', 's0');
  address('a1', 'listen');
  constant('a2', 16);
  systemCall('bind');
  compare('result', 0);
  jump('not-equal', 'fail');
  code.label('loop');
  constant('a0', 16);
  store32('a0', 's2', 0);
  move('a0', 's0');
  move('a1', 's1');
  constant('a2', bufferBytes);
  constant('a3', 0);
  move('a4', 's1');
  add('a4', nameAt);
  move('a5', 's2');
  systemCall('recvfrom');
  compare('result', 0);
  jump('not-positive', 'loop');
  move('a2', 'result');
  constant('a0', 0x84); // QR, AA
  store8('a0', 's1', 2);
  move('a0', 's0');
  move('a1', 's1');
  constant('a3', 0);
  move('a4', 's1');
  add('a4', nameAt);
  constant('a5', 16);
  systemCall('sendto');
  jump('always', 'loop');
  code.label('fail');
  constant('a0', 1);
  systemCall('exit_group');
  code.align(8);
  code.data('listen', sockaddr(IpAddr.parse('127.0.0.1'), port), 'struct sockaddr_in');
  code.data('receive-buffer', Buffer.from([0, 0, 64, 0]), '4 MiB');
  return elf(target.machine, code.link());
}
