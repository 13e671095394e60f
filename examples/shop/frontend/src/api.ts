export interface Order {
  id: number;
  item: string;
  quantity: number;
  created_at: string;
  done?: boolean;
}

export interface Health {
  status: string;
  version: string;
}

async function json<T>(response: Response): Promise<T> {
  const body = (await response.json()) as T & { error?: string };
  if (!response.ok) throw new Error(body.error ?? `the shop answered ${String(response.status)}`);
  return body;
}

export async function place(item: string, quantity: number, clientId: string): Promise<Order> {
  const body = JSON.stringify({ item, quantity, client_id: clientId });
  const headers = { "Content-Type": "application/json" };
  return json(await fetch("/api/orders", { method: "POST", headers, body }));
}

export async function count(): Promise<number> {
  return (await json<{ count: number }>(await fetch("/api/orders/count"))).count;
}

export async function latest(): Promise<Order[]> {
  return (await json<{ orders: Order[] }>(await fetch("/api/orders"))).orders;
}

/** A release that is not ready answers 503, with its version all the same. */
export async function health(): Promise<Health> {
  return (await (await fetch("/health")).json()) as Health;
}
