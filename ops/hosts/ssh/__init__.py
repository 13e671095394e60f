"""Machines over SSH, by Fabric and paramiko: known host keys only, few connections, no wait without an end."""
