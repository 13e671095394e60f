import * as api from "./api";
import "./style.css";

const REFRESH_MS = 2000;

function element<T extends HTMLElement>(selector: string, kind: new () => T): T {
  const found = document.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`${selector} is missing in index.html`);
  return found;
}

const form = element("#order", HTMLFormElement);
const button = element("#order button", HTMLButtonElement);
const message = element("#message", HTMLElement);
const count = element("#count", HTMLElement);
const orders = element("#orders", HTMLElement);
const version = element("#version", HTMLElement);
const health = element("#health", HTMLElement);

// One id for an order until it is answered: a second try after an error does not order twice.
// Not crypto.randomUUID, which pages without HTTPS lack.
let clientId = newId();

function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16)).join("-");
}

function row(order: api.Order): HTMLLIElement {
  const line = document.createElement("li");
  const time = document.createElement("time");
  time.dateTime = order.created_at;
  time.textContent = new Date(order.created_at).toLocaleTimeString();
  line.append(time, ` ${String(order.quantity)} × ${order.item}`);
  line.classList.toggle("done", order.done === true);
  return line;
}

async function refresh(): Promise<void> {
  try {
    const [counted, latest, state] = await Promise.all([api.count(), api.latest(), api.health()]);
    count.textContent = counted.toLocaleString();
    orders.replaceChildren(...latest.map(row));
    version.textContent = state.version;
    health.textContent = state.status;
  } catch {
    health.textContent = "cannot be reached, trying again";
  }
}

async function order(): Promise<void> {
  const fields = new FormData(form);
  button.disabled = true;
  try {
    const placed = await api.place(
      fields.get("item") as string,
      Number(fields.get("quantity")),
      clientId,
    );
    clientId = newId();
    message.textContent = `Order ${String(placed.id)} is in: ${String(placed.quantity)} × ${placed.item}.`;
    await refresh();
  } catch (error) {
    message.textContent = `That did not work: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    button.disabled = false;
  }
}

async function keepFresh(): Promise<never> {
  for (;;) {
    await refresh();
    await new Promise((resolve) => setTimeout(resolve, REFRESH_MS));
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void order();
});
void keepFresh();
