import { defineConfig } from "vite";

const backend = `http://127.0.0.1:${process.env.BACKEND_PORT ?? "8000"}`;

export default defineConfig({
  // An address, not the name "localhost", which may mean ::1.
  server: { host: "127.0.0.1", proxy: { "/api": backend, "/health": backend } },
});
