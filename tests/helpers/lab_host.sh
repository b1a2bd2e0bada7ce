#!/bin/bash
# The first process of a host: its own root over a read-only machine, then its sshd.
# Runs in mount, net, pid, uts and ipc namespaces of its own; what it mounts ends with it.
#   lab_host.sh NAME ADDRESS LAB HOME PROJECT VENV SITE PATHS...
# LAB: a folder with the keys and an empty folder `root`; PROJECT: the checkout; VENV: the Python
# environment; SITE: its packages; PATHS: files that make it import the checkout.
set -euo pipefail
name=$1 address=$2 lab=$3 home=$4 project=$5 venv=$6 site=$7
shift 7
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

# What a host writes lies in memory. What is mounted somewhere below / is a layer of its own.
top=$lab/root
mount -t tmpfs -o size=3g,mode=755 "$name" "$top"
mkdir "$top/all"
layer() { # FOLDER
    local own
    own=$(mktemp -d "$top/layer.XXXX")
    mkdir -p "$own/up" "$own/work" "$top/all$1"
    mount -t overlay -o "lowerdir=$1,upperdir=$own/up,workdir=$own/work" overlay "$top/all$1"
}
layer /
for folder in tmp var/tmp run; do mount -t tmpfs -o size=1g,mode=1777 tmpfs "$top/all/$folder"; done
# Below /tmp the checkout and its Python are hidden now; elsewhere they may be a mount of their own.
for folder in "$project" "$venv" "$(dirname "$(dirname "$(readlink -f "$venv/bin/python")")")"; do
    test -n "$(ls -A "$top/all$folder" 2>/dev/null)" || layer "$folder"
done

cd "$top/all"
mount --bind /dev dev
mount -t tmpfs -o size=1g,mode=1777 shm dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts dev/pts
mount --bind dev/pts/ptmx dev/ptmx
mount --rbind /sys sys
mount -t proc proc proc

# A home of its own, with nothing in it but who may log in; on the laptop what logs in.
sed -i "s#^root:.*#root:x:0:0:root:$home:/bin/bash#" etc/passwd
mkdir -p ".$home/.ssh" run/sshd
cp "$lab/id.pub" ".$home/.ssh/authorized_keys"
cp "$lab/hostkey" etc/hostkey
if [ "$name" = laptop ]; then
    mkdir -m 700 ".$home/.ray"
    cp "$lab/id" ".$home/.ssh/"
    cp "$lab/auth_token" ".$home/.ray/"
fi
chmod 700 ".$home" ".$home/.ssh"
chmod 600 ".$home/.ssh/authorized_keys" etc/hostkey
printf '%s\n' 'Port 22' 'HostKey /etc/hostkey' 'PasswordAuthentication no' 'UsePAM no' \
    'PermitRootLogin yes' 'PidFile none' 'Subsystem sftp internal-sftp' >etc/sshd_lab

# `make install` finds all done: the machine's environment, which imports the host's own copy of
# the project and cannot find the machine's.
for path in "$@"; do rm -f ".$path"; done
rm -rf ".$project/tune_audio" ".$project/search_spaces"
mkdir -p ".$home/tune_audio"
ln -s "$venv" ".$home/tune_audio/.venv"
echo "$home/tune_audio" >".$site/host.pth"
touch ".$venv/installed"

mkdir .old
pivot_root . .old
umount -l /.old
hostname "$name"
ip link set lo up
until ip link show eth0 >/dev/null 2>&1; do sleep 0.05; done
ip addr add "$address/24" dev eth0
ip link set eth0 up
ip route add default dev eth0
cd "$home"
exec /usr/sbin/sshd -D -e -f /etc/sshd_lab
