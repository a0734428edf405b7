//! Interrupts of devices: message-signalled, injected by KVM when an event descriptor fires.

use std::sync::{Arc, Mutex, PoisonError};

use kvm_bindings::{
    KVM_CAP_SPLIT_IRQCHIP, KVM_IRQ_ROUTING_MSI, KvmIrqRouting, kvm_enable_cap,
    kvm_irq_routing_entry, kvm_irq_routing_entry__bindgen_ty_1, kvm_irq_routing_msi,
    kvm_irq_routing_msi__bindgen_ty_1, kvm_msi,
};
use kvm_ioctls::VmFd;
use vmm_sys_util::eventfd::EventFd;

use super::ioapic::PIN_COUNT;
use crate::devices::MsiMessage;
use crate::{Error, event};

/// Most interrupt numbers that are handed out to message-signalled vectors.
const GSI_COUNT_MAX: usize = 1024;

/// The machine's interrupt controller outside the local APICs (which are in the kernel).
#[derive(Clone)]
pub(crate) struct Interrupts {
    vm: Arc<VmFd>,
    /// Message of each interrupt number from [`PIN_COUNT`] on; nothing until it is first routed.
    routes: Arc<Mutex<Vec<Option<MsiMessage>>>>,
}

impl Interrupts {
    /// Puts the local APICs into the kernel and leaves the I/O APIC to us.
    pub(crate) fn new(vm: Arc<VmFd>) -> Result<Interrupts, Error> {
        // The argument reserves the numbers below it for the I/O APIC's pins.
        let split = kvm_enable_cap {
            cap: KVM_CAP_SPLIT_IRQCHIP,
            args: [PIN_COUNT as u64, 0, 0, 0],
            ..Default::default()
        };
        vm.enable_cap(&split).map_err(Error::kvm("split the interrupt controller"))?;
        Ok(Interrupts { vm, routes: Arc::new(Mutex::new(Vec::new())) })
    }

    /// Sends a message now, for devices whose interrupts are rare.
    pub(crate) fn send(&self, message: MsiMessage) -> Result<(), Error> {
        let msi = kvm_msi {
            address_lo: message.address as u32,
            address_hi: (message.address >> 32) as u32,
            data: message.data,
            ..Default::default()
        };
        // A guest that aims at no processor gets what it asked for: nothing.
        self.vm.signal_msi(msi).map(drop).map_err(Error::kvm("send an interrupt"))
    }

    /// Reserves an interrupt number and ties an event descriptor to it. Without a route, firing it
    /// does nothing.
    pub(crate) fn allocate(&self) -> Result<(u32, EventFd), Error> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        if routes.len() >= GSI_COUNT_MAX {
            return Err(Error::Config("more devices than interrupt numbers".into()));
        }
        let gsi = (PIN_COUNT + routes.len()) as u32;
        let event = event::new()?;
        self.vm
            .register_irqfd(&event, gsi)
            .map_err(Error::kvm("tie an event descriptor to an interrupt"))?;
        routes.push(None);
        Ok((gsi, event))
    }

    /// Sets what `gsi` sends. KVM takes the whole table each time: it is only called when a guest
    /// unmasks a vector whose message has changed.
    pub(crate) fn route(&self, gsi: u32, message: MsiMessage) -> Result<(), Error> {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(route) = routes.get_mut(gsi as usize - PIN_COUNT) else {
            return Err(Error::Config(format!("interrupt {gsi} was not allocated")));
        };
        if *route == Some(message) {
            return Ok(());
        }
        *route = Some(message);
        let entries: Vec<_> = routes
            .iter()
            .enumerate()
            .filter_map(|(index, route)| route.map(|message| (PIN_COUNT + index, message)))
            .map(|(gsi, message)| routing_entry(gsi as u32, message))
            .collect();
        let table = KvmIrqRouting::from_entries(&entries)
            .map_err(|_| Error::Config("the interrupt routing table is too long".into()))?;
        self.vm.set_gsi_routing(&table).map_err(Error::kvm("route interrupts"))
    }
}

fn routing_entry(gsi: u32, message: MsiMessage) -> kvm_irq_routing_entry {
    kvm_irq_routing_entry {
        gsi,
        type_: KVM_IRQ_ROUTING_MSI,
        u: kvm_irq_routing_entry__bindgen_ty_1 {
            msi: kvm_irq_routing_msi {
                address_lo: message.address as u32,
                address_hi: (message.address >> 32) as u32,
                data: message.data,
                __bindgen_anon_1: kvm_irq_routing_msi__bindgen_ty_1 { pad: 0 },
            },
        },
        ..Default::default()
    }
}
