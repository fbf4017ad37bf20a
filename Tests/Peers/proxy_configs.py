"""Proxies in front of a server: FRONT, BACK and SCRATCH are replaced."""

NGINX = """daemon off; master_process off; error_log SCRATCH/nginx.log; pid SCRATCH/nginx.pid;
events { worker_connections 256; }
http { access_log off; client_body_temp_path SCRATCH/nb; proxy_temp_path SCRATCH/np; fastcgi_temp_path SCRATCH/nf;
  uwsgi_temp_path SCRATCH/nu; scgi_temp_path SCRATCH/ns; client_max_body_size 0;
  upstream back { server 127.0.0.1:BACK; keepalive 8; }
  server { listen 127.0.0.1:FRONT; location / {
    proxy_pass http://back; proxy_http_version 1.1; proxy_set_header Connection ""; } } }
"""
HAPROXY = """defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend front
  bind 127.0.0.1:FRONT
  default_backend back
backend back
  http-reuse always
  server one 127.0.0.1:BACK
"""
