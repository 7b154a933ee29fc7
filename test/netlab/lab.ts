/**
 * Networks of their own: a public one with a relay and two NATs, and a device behind each; and a local one of two
 * devices. Everything is in network namespaces with names of this process, and is gone when the test is over, however
 * it ends.
 */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { afterEach } from 'vitest'
import { missingNetworkTools } from '../../scripts/lib/system-tools.mjs'

/**
 * What a NAT does with the port of an outgoing packet. `preserving`: keeps it, so that who asks a STUN server
 * knows where to be reached. `random`: another one for each destination, so that nobody can know.
 */
export type Nat = 'preserving' | 'random'
export type Side = 'a' | 'b'

export const RELAY_ADDRESS = '45.45.45.3'
const NAT_ADDRESS = { a: '45.45.45.11', b: '45.45.45.12' }
/** Last number of the addresses that a device moves to, one after the other. */
const FIRST_MOVED = 77
const MOVES = 100
const LOCAL_NUMBER = { a: 1, b: 2 }
const HOME = { a: '192.168.11', b: '192.168.12' }
/** A name server that every namespace is told of, and that no one may ask. */
const NAME_SERVER = '198.51.100.53'

/** Why there can be no lab here, in a sentence. */
export function labProblem(): string | undefined {
  if (process.getuid?.() !== 0)
    return 'The network lab is skipped: it makes network namespaces, which needs root.'
  const missing = missingNetworkTools()
  if (missing.length > 0)
    return `The network lab is skipped: install ${missing.join(' and ')} (Debian: apt-get install ${missing.join(' ')}).`
  const name = `kartoteka-${process.pid}-try`
  const tried = spawnSync('ip', ['netns', 'add', name], { encoding: 'utf8' })
  if (tried.status !== 0)
    return `The network lab is skipped: this system allows no network namespaces (${tried.stderr.trim()}).`
  spawnSync('ip', ['netns', 'delete', name])
  return undefined
}

const labs = new Set<Network>()
let count = 0

afterEach(() => {
  for (const lab of labs) lab.remove()
})
// A run that is broken off runs no hooks.
process.on('exit', () => {
  for (const lab of labs) lab.remove()
})

/** Two devices somewhere in it, and what can happen to the way between them. */
export abstract class Network {
  protected readonly prefix = `kartoteka-${process.pid}-${count++}`
  readonly #namespaces: string[] = []
  #moves = 0

  constructor() {
    labs.add(this)
  }

  device(side: Side): string {
    return `${this.prefix}-device-${side}`
  }

  /** The device gets another address, and loses the old one, as on another network. */
  readdress(side: Side): void {
    this.move(side, FIRST_MOVED + (this.#moves++ % MOVES))
  }

  /** The cable of the device is pulled, which it notices; true: put in again. */
  abstract plug(side: Side, isIn: boolean): void
  /** From now on nothing comes through, and nobody is told; false: again. */
  abstract breakLine(side: Side, isBroken: boolean): void
  /** To an address with this number. */
  protected abstract move(side: Side, number: number): void

  remove(): void {
    labs.delete(this)
    for (const name of this.#namespaces.splice(0).reverse()) {
      spawnSync('ip', ['netns', 'delete', name])
      rmSync(`/etc/netns/${name}`, { recursive: true, force: true })
    }
  }

  protected add(name: string): string {
    const full = `${this.prefix}-${name}`
    ip('netns', 'add', full)
    this.#namespaces.push(full)
    ip('-n', full, 'link', 'set', 'lo', 'up')
    mkdirSync(`/etc/netns/${full}`, { recursive: true })
    writeFileSync(`/etc/netns/${full}/resolv.conf`, `nameserver ${NAME_SERVER}\n`)
    return full
  }
}

/** Two devices on one network, which hear each other's multicast. */
export class LocalNetwork extends Network {
  constructor() {
    super()
    const [a, b] = [this.add('device-a'), this.add('device-b')]
    ip('link', 'add', 'eth0', 'netns', a, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', b)
    for (const side of ['a', 'b'] as const) {
      nft(this.device(side), LINE_RULES)
      this.move(side, LOCAL_NUMBER[side])
    }
  }

  plug(side: Side, isIn: boolean): void {
    const device = this.device(side)
    ip('-n', device, 'link', 'set', 'eth0', isIn ? 'up' : 'down')
    // As on every network that leads anywhere; without it the system knows no way for multicast.
    if (isIn) ip('-n', device, 'route', 'replace', 'default', 'dev', 'eth0')
  }

  breakLine(side: Side, isBroken: boolean): void {
    const rules = isBroken
      ? 'add rule ip line come iifname "eth0" drop\nadd rule ip line go oifname "eth0" drop'
      : 'flush chain ip line come\nflush chain ip line go'
    nft(this.device(side), rules)
  }

  protected move(side: Side, number: number): void {
    const device = this.device(side)
    ip('-n', device, 'address', 'flush', 'dev', 'eth0')
    ip('-n', device, 'address', 'add', `10.77.0.${number}/24`, 'dev', 'eth0')
    this.plug(side, true)
  }
}

/** A public network with a relay and two NATs, and a device behind each. */
export class Lab extends Network {
  constructor(nats: Record<Side, Nat>) {
    super()
    const net = this.add('net')
    ip('-n', net, 'link', 'add', 'bridge', 'type', 'bridge')
    ip('-n', net, 'link', 'set', 'bridge', 'up')
    this.#connect(this.add('relay'), RELAY_ADDRESS)
    for (const side of ['a', 'b'] as const) this.#addHome(side, nats[side])
  }

  get relay(): string {
    return `${this.prefix}-relay`
  }

  /** From now on no packet of UDP leaves or enters this home; false: again. */
  blockUdp(side: Side, isBlocked = true): void {
    nft(
      this.#nat(side),
      isBlocked
        ? 'add rule ip home forward_first meta l4proto udp drop'
        : 'flush chain ip home forward_first',
    )
  }

  plug(side: Side, isIn: boolean): void {
    const device = this.device(side)
    ip('-n', device, 'link', 'set', 'eth0', isIn ? 'up' : 'down')
    if (isIn) ip('-n', device, 'route', 'replace', 'default', 'via', `${HOME[side]}.1`)
  }

  breakLine(side: Side, isBroken: boolean): void {
    nft(
      this.#nat(side),
      isBroken ? 'add rule ip home forward_first drop' : 'flush chain ip home forward_first',
    )
  }

  protected move(side: Side, number: number): void {
    const device = this.device(side)
    ip('-n', device, 'address', 'flush', 'dev', 'eth0')
    ip('-n', device, 'address', 'add', `${HOME[side]}.${number}/24`, 'dev', 'eth0')
    this.plug(side, true)
  }

  /** Looks up a name, as the device of this home would. Nobody answers. */
  askName(side: Side): void {
    const script = "require('dns').lookup('kartoteka.example', () => process.exit())"
    const command = ['netns', 'exec', this.device(side), process.execPath, '-e', script]
    spawnSync('ip', command, { timeout: 2_000, killSignal: 'SIGKILL' })
  }

  /** Packets of the device to anybody but the relay and the other home. */
  strangersAsked(side: Side): number {
    const listed = execFileSync('ip', [
      'netns',
      'exec',
      this.#nat(side),
      'nft',
      'list',
      'counter',
      'ip',
      'home',
      'strangers',
    ])
    return Number(/packets (\d+)/.exec(String(listed))?.[1])
  }

  #nat(side: Side): string {
    return `${this.prefix}-nat-${side}`
  }

  /** A cable to the public network. */
  #connect(name: string, address: string): void {
    const net = `${this.prefix}-net`
    const end = `to-${address.split('.').at(-1)}`
    ip('link', 'add', 'public', 'netns', name, 'type', 'veth', 'peer', 'name', end, 'netns', net)
    ip('-n', net, 'link', 'set', end, 'master', 'bridge', 'up')
    ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'public')
    ip('-n', name, 'link', 'set', 'public', 'up')
  }

  #addHome(side: Side, nat: Nat): void {
    const router = this.add(`nat-${side}`)
    const device = this.add(`device-${side}`)
    this.#connect(router, NAT_ADDRESS[side])
    ip('link', 'add', 'inside', 'netns', router, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', device)
    ip('-n', router, 'address', 'add', `${HOME[side]}.1/24`, 'dev', 'inside')
    ip('-n', router, 'link', 'set', 'inside', 'up')
    this.move(side, 2)
    execFileSync('ip', ['netns', 'exec', router, 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward'])
    nft(router, homeRules(nat))
  }
}

/** Two empty chains, for what must not come and go. */
const LINE_RULES = `table ip line {
  chain come {
    type filter hook input priority 0;
  }
  chain go {
    type filter hook output priority 0;
  }
}
`

/** Nothing comes in that was not asked for. Packets to strangers are counted, and lead nowhere. */
function homeRules(nat: Nat): string {
  const known = [RELAY_ADDRESS, ...Object.values(NAT_ADDRESS), '192.168.0.0/16', '127.0.0.0/8']
  return `table ip home {
  counter strangers {
  }
  chain watch {
    type filter hook prerouting priority -150;
    iifname "inside" ip daddr != { ${known.join(', ')} } counter name strangers
  }
  chain forward_first {
  }
  chain forward {
    type filter hook forward priority 0; policy drop;
    jump forward_first
    ct state established,related accept
    iifname "inside" accept
  }
  chain input {
    type filter hook input priority 0; policy drop;
    ct state established,related accept
    iifname "inside" accept
  }
  chain outgoing {
    type nat hook postrouting priority 100;
    oifname "public" masquerade ${nat === 'random' ? 'fully-random' : ''}
  }
}
`
}

function nft(namespace: string, rules: string): void {
  execFileSync('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], { input: `${rules}\n`, stdio: 'pipe' })
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: 'pipe' })
}
