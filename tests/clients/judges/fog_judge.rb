# fog-openstack's models and requests of Images v2 and v1: `URL USER PASSWORD PROJECT REGION OTHER FILE`.
require 'fog/openstack'
require 'json'

url, user, password, project, region, other, path = ARGV
AUTH = { openstack_auth_url: url, openstack_username: user, openstack_api_key: password,
         openstack_project_name: project, openstack_domain_id: 'default', openstack_region: region }.freeze
PUBLIC = 'publicURL'
BYTES = File.binread(path)
PASSED = []
FAILED = {}

def check(name)
  raise 'not as expected' unless yield
  PASSED << name
rescue StandardError => e
  FAILED[name] = "#{e.class}: #{e.message}"[0, 2000]
end

v2 = Fog::OpenStack::Image::V2.new(**AUTH, openstack_endpoint_type: +PUBLIC)
image = nil
check('v2: create') do
  image = v2.images.create(name: 'fog', disk_format: 'raw', container_format: 'bare', visibility: 'shared')
  image.status == 'queued'
end
check('v2: upload_data') { image.upload_data(File.open(path, 'rb')); image.reload.status == 'active' }
check('v2: download_data') { image.download_data == BYTES }
check('v2: all, find_by_id') { v2.images.all.any? { |i| i.id == image.id } && v2.images.find_by_id(image.id).name == 'fog' }
check('v2: update') { image.update(name: 'renamed').name == 'renamed' }
check('v2: tags') { image.add_tag('t'); image.reload.tags == ['t'] }
check('v2: remove tag') { image.remove_tag('t'); image.reload.tags == [] }
check('v2: members') { image.add_member(other); image.members.map { |m| m['member_id'] } == [other] }
check('v2: remove member') { image.remove_member(other); image.members == [] }
check('v2: deactivate, reactivate') do
  image.deactivate
  off = image.reload.status
  image.reactivate
  [off, image.reload.status] == %w[deactivated active]
end
check('v2: destroy') { image.destroy && v2.images.find_by_id(image.id).nil? }

v1 = Fog::OpenStack::Image::V1.new(**AUTH, openstack_service_type: ['image'], openstack_endpoint_type: +PUBLIC)
check('v1: create with bytes') do
  image = v1.images.create(name: 'fog', disk_format: 'raw', container_format: 'bare', location: path,
                           properties: { 'a' => 'b' })
  image.status == 'active' && image.size.to_i == BYTES.bytesize
end
check('v1: details') { v1.images.details.any? { |i| i.id == image.id && i.properties == { 'a' => 'b' } } }
check('v1: metadata') { image.metadata['X-Image-Meta-Name'] == 'fog' || image.metadata['x-image-meta-name'] == 'fog' }
check('v1: update') { image.name = 'renamed'; image.update; v1.images.find_by_id(image.id).name == 'renamed' }
check('v1: members') { image.add_member(other); image.members.map { |m| m['member_id'] } == [other] }
check('v1: remove member') { image.remove_member(other); image.members == [] }
check('v1: destroy') { image.destroy && v1.images.find_by_id(image.id).nil? }
puts JSON.generate(client: "fog-openstack #{Fog::OpenStack::VERSION}", passed: PASSED, failed: FAILED, skipped: {})
