// The live connection: one picture at a time goes out, and its answer comes back.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 10000;
const PATIENCE = 60000;

export class Refused extends Error {} // the server will have none of it, now and later

const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

export class Link {
  // say(text): tell the person how the connection is; "" when it is well.
  constructor(say) {
    this.say = say;
    this.settings = {};
    this.socket = null;
    this.waiting = null;
  }

  configure(settings) {
    this.settings = settings;
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(settings));
  }

  // Send a picture and wait for its answer, through lost connections, as long as `wanted()`.
  // Returns null when it is not wanted any more.
  async ask(picture, wanted) {
    let pause = FIRST_PAUSE;
    while (wanted()) {
      try {
        await this.open();
        const answer = await this.exchange(picture);
        this.say("");
        return answer;
      } catch (error) {
        if (error instanceof Refused) throw error;
        const reason = await whyNot();
        if (!wanted()) return null;
        this.say(`${reason} Trying again${pause >= 2000 ? ` in ${Math.round(pause / 1000)} s` : ""}…`);
        await sleep(pause * (0.8 + 0.4 * Math.random()));
        pause = Math.min(pause * 2, LONGEST_PAUSE);
      }
    }
    return null;
  }

  open() {
    if (this.socket?.readyState === WebSocket.OPEN) return Promise.resolve();
    return new Promise((done, fail) => {
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      const socket = new WebSocket(`${scheme}://${location.host}/live`);
      this.socket = socket;
      socket.onopen = () => {
        socket.send(JSON.stringify(this.settings));
        done();
      };
      socket.onmessage = (event) => this.take(JSON.parse(event.data));
      socket.onclose = () => {
        fail(new Error("closed"));
        if (this.socket === socket) this.waiting?.fail(new Error("closed"));
      };
    });
  }

  exchange(picture) {
    return new Promise((done, fail) => {
      const clock = setTimeout(() => this.socket.close(), PATIENCE);
      const end = (act) => (value) => {
        clearTimeout(clock);
        this.waiting = null;
        act(value);
      };
      this.waiting = { done: end(done), fail: end(fail) };
      this.socket.send(picture);
    });
  }

  take(message) {
    if (message.frame === undefined) this.say(message.error);
    else this.waiting?.done(message);
  }
}

// A browser does not say why a WebSocket failed; asking over HTTP does.
async function whyNot() {
  let status = 0;
  try {
    status = (await fetch("/model")).status;
  } catch {
    return "Connection lost.";
  }
  if (status === 401) {
    throw new Refused("This page has lost its key. Open the address that was shown when the server started.");
  }
  return status === 200 ? "The server is busy." : "Connection lost.";
}
