/** What a reader must know about the comparison: how it was measured, what it could seem to say, and what profiles show. */

export const METHOD: readonly string[] = [
  'Every measurement starts fresh processes: an upstream, a relay, a load generator. Sessions are opened at 200 a second, send speech by the clock of the audio for a warm-up of 4 s, and are then measured for 10 s between two marks. Candidates alternate within a scenario, and the order turns with every repeat.',
  'The relay has a core of its own (`taskset -c 0`); generator and upstream share the other. A measurement in which they needed more than 85 % of it is marked as not valid, as is one in which the generator was late or sessions were missing.',
  'The way to the upstream is TLS 1.3 on loopback, the way from the client is plain, as behind an ingress. The upstream is a lean one of the bench that counts audio and answers with results made beforehand (1.3 KiB, two a second and session): the emulator of the project verifies, hashes and listens, and would cost more than the relays.',
  'Added latency: from the moment the generator sends the last audio that a result covers until it has the result, without the time that the upstream held it. CPU is user and system time of the whole relay process; memory per session is the resident set with all sessions open, less that of the empty process.',
  'The peers are in `bench/peers/`. The plain relay and the SDK relay do only what their kind needs: no limits, no back-pressure, no reconnect, no metrics. The floor does no relay work at all: it writes frames made beforehand to a TLS socket.',
]

export const CAVEATS: readonly string[] = [
  'Loopback has no loss and no delay; the figures say what a relay costs, not what a network does.',
  'CPU per frame falls with the number of sessions for every candidate: an event loop that wakes up for one frame pays for the whole turn. Figures of different session counts are not comparable.',
  'The bars of growth compare session counts all the same: they would find a cost that grows faster than the sessions. Fixed costs that more sessions share make every candidate pass them, the floor too.',
  'The bars of latency are judged at 500 sessions. At 1,000 sessions on one core, and in the connect storm, our p99 was above that of the plain relay: their tables say by how much.',
  'The SDK relay is measured with 100 sessions, where it still keeps up, and compared with the others at the same number.',
  'Frames of 20 ms are joined to 100 ms by ours and by the floor, and forwarded one by one by the others; their clients pay for ours with up to 80 ms of delay, which is not counted as added latency: it counts from the last chunk.',
]

/** For bars that are not reached, by their id. */
export const EXPLANATIONS: Readonly<Record<string, readonly string[]>> = {
  'plain-cpu': [
    'Samples of the whole process at 500 sessions (`perf`, 999 a second) find a third of our time in the kernel, a third in Node.js itself (TLS, streams, garbage), a tenth in libc and uWebSockets.js, and a fifth in JavaScript, that of `ws` and of Node’s streams included. The floor has all but the last as well and stands at about half of the plain relay: plain relay ÷ floor in the same table, a little above 2, is the limit of this ratio.',
  ],
  'plain-cpu-20ms': [
    'Joining five frames saves four TLS writes of five, not the five reads. Plain relay ÷ floor, which joins them too, is about 3: the bar is beyond it.',
  ],
  'sdk-cpu': [
    'With 100 sessions most of the cost of every candidate is waking up for single frames, and that is the same for all: SDK relay ÷ floor is about 4, the bar is beyond it. It cannot be measured with the numbers of sessions at which the others are cheap.',
  ],
  'floor-cpu': [
    'By the same samples the ratio would still be above 1.3 with no JavaScript of ours at all. The floor writes one and the same frame, which never leaves the cache, and looks at nothing; ours touches 3 KB of audio that is kept to be sent again, the objects of the session, and the collector has 30 MB of them to go through. What is left is spread: the tick of each session (3 µs, ten a second), pace, framing, the mask, results, none of them above 3 %.',
  ],
  latency: [
    'The floor’s own p99 is above the bar: with three processes on two cores a frame waits for those that came with it. Ours adds collections of garbage (3 to 5 ms every second, 8 ms every few seconds, and on a single core the collector’s helper threads take their turns from the loop) and the tick. Half of the results are below half a millisecond; the plain relay, measured in turn, has nearly twice the p99.',
  ],
  'memory-plain': [
    'Audio that no final result covers is kept to be sent again: about three seconds of it, 96 KB, are more than the difference. The plain relay keeps nothing, and loses it with the stream. What sockets and TLS take is in the floor, 80 KB.',
  ],
}
