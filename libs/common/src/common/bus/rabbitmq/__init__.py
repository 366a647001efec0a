"""The bus on RabbitMQ, by aio-pika, which nothing else may import.

One durable topic exchange, one quorum queue for each (service, handler), and for each of those a queue of dead
letters. Every connection is made anew whenever it is lost, so that nobody restarts a service because of the broker.
"""

from common.bus.rabbitmq.bus import RabbitBus
from common.bus.rabbitmq.dead import DeadQueue, DeadQueues
from common.bus.rabbitmq.topology import EXCHANGE, Topology, TopologyDiffers

__all__ = ["EXCHANGE", "DeadQueue", "DeadQueues", "RabbitBus", "Topology", "TopologyDiffers"]
